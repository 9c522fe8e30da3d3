"""Encoders of timm: fed by their own transform, blind to the batch, resized on the device or by a worker."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from making import HOW, encode
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from tiny_vision import COLOUR, DIGITS, DIMS, REXNET, SIZE, SMALL, VIT, rng, source

from relrep_exp.encoders.vision_model import TimmEncoder


def by_hand(folder, samples):
    """The embeddings as timm's documentation computes them."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    images = [transform(Image.fromarray(x).convert("RGB")) for x in samples]
    with torch.inference_mode():
        return model(torch.stack(images))


@pytest.mark.parametrize("model", SMALL)
def test_embeddings_are_timms_own(folders, vision_of, model):
    encoder = vision_of(model)
    assert encoder.dim == DIMS[model] and not encoder.training
    for samples in (COLOUR, DIGITS):
        x = encode(encoder, samples)
        assert x.shape == (7, DIMS[model]) and x.dtype == torch.float32
        torch.testing.assert_close(x, by_hand(folders[model], samples), rtol=1e-5, atol=1e-6)
        assert (x - x.mean(0)).norm() > 1e-3 * x.norm(), "the inputs make no difference"


@pytest.mark.parametrize("model", [VIT, REXNET])
@pytest.mark.parametrize("resize", ["worker", "device"])
def test_an_embedding_depends_on_its_sample_alone(vision_of, model, resize):
    encoder, samples = vision_of(model, resize=resize), [*COLOUR, *DIGITS]
    whole, order = encode(encoder, samples), [9, 3, 13, 0, 5, 1]
    few = encode(encoder, [samples[row] for row in order])
    single = torch.cat([encode(encoder, [samples[row]]) for row in order])
    torch.testing.assert_close(few, whole[order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(single, whole[order], rtol=1e-5, atol=1e-5)


def test_the_transform_is_the_one_of_the_weights(folders, vision_of, tmp_path):
    folder = shutil.copytree(folders[VIT], tmp_path / "other")
    said = json.loads((folder / "config.json").read_text())
    said["pretrained_cfg"] |= {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.5}
    (folder / "config.json").write_text(json.dumps(said))
    other, own = source(folder).load(HOW), vision_of(VIT)
    grey = np.full((40, 40), 51, np.uint8)
    expected = (0.2 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.4, 0.5, 0.6])
    torch.testing.assert_close(other.prepare([grey])[0].mean((1, 2)), expected)
    assert not torch.allclose(other.prepare(COLOUR), own.prepare(COLOUR), atol=0.1)
    by_size = {prepared.shape for prepared in (other.prepare(COLOUR), own.prepare(COLOUR))}
    assert by_size == {(7, 3, SIZE, SIZE)}


def test_samples_in_memory_that_cannot_be_written(vision_of):
    frozen = DIGITS[0].copy()
    frozen.flags.writeable = False
    for resize in ("worker", "device"):
        encoder = vision_of(VIT, resize=resize)
        assert torch.equal(encode(encoder, [frozen]), encode(encoder, DIGITS[:1]))


# Resizing on the device


def photographs():
    from sklearn.datasets import load_sample_images

    return [image[:400, :600] for image in load_sample_images().images]


INPUTS = {
    "photographs": photographs,
    "small colour": lambda: COLOUR,
    "digits": lambda: DIGITS,
    "tall": lambda: list(rng.integers(0, 256, (2, 95, 50, 3), dtype=np.uint8)),
    "several sizes": lambda: [COLOUR[0], DIGITS[0], np.ascontiguousarray(COLOUR[1][:, :19])],
    "the right size": lambda: list(rng.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)),
}


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
def test_resizing_on_the_device_is_timms_transform_but_for_rounding(inputs, interpolation):
    model = torch.nn.Flatten()
    model.num_features = 3 * SIZE * SIZE
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    data = {"input_size": (3, SIZE, SIZE), "mean": mean, "std": std, "crop_pct": 0.8}
    data |= {"interpolation": interpolation, "crop_mode": "center"}
    samples = inputs()
    ours, theirs = (encode(TimmEncoder(model, data, "float32", where), samples) for where in (True, False))
    levels = (ours - theirs).reshape(-1, 3, SIZE, SIZE).abs() * 255 * torch.tensor(std)[:, None, None]
    assert levels.max() < 1.01
    assert levels.mean() < (0.01 if interpolation == "bicubic" else 0.1)  # bilinear weights make more ties


def test_only_raw_pixels_go_to_the_device(vision_of):
    encoder = vision_of(VIT, resize="device")
    (raw,) = encoder.prepare(DIGITS)
    assert raw.dtype == torch.uint8 and raw.shape == (7, 1, 28, 28)
    assert [tuple(x.shape) for x in encoder.prepare([COLOUR[0], DIGITS[0]])] == [
        (1, 3, 24, 40),
        (1, 1, 28, 28),
    ]


# Precision


@pytest.mark.parametrize("resize", ["worker", "device"])
@pytest.mark.parametrize(("dtype", "torch_dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_narrow_weights_give_float32_embeddings(vision_of, dtype, torch_dtype, resize):
    encoder = vision_of(VIT, dtype=dtype, resize=resize)
    assert {p.dtype for p in encoder.model.parameters()} == {torch_dtype}
    x, full = encode(encoder, COLOUR), encode(vision_of(VIT), COLOUR)
    assert x.dtype == torch.float32
    assert torch.cosine_similarity(x, full).min() > 0.999
    assert not torch.equal(x, full)
