"""The zoo of autoencoders: what tells one from another, trained once, and images that do not suit it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_images import PIXELS, config, write_folders, write_idx

from relrep_exp.config.schema import AutoencoderConfig, AutoencoderZoo, DigitsData
from relrep_exp.encoders.local.autoencoder_zoo import sources
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key
from relrep_exp.training.device import Training

ZOO = AutoencoderZoo(
    kind="autoencoder",
    name="tiny",
    encoders={"ae1": AutoencoderConfig(seed=1), "ae2": AutoencoderConfig(seed=2)},
    latent=4,
    channels=[4],
    epochs=1,
    least_steps=2,
    batch=8,
)


def source(data, outputs, name="ae1", **more):
    return sources(replace(ZOO, **more), data, outputs, True, Training())[name]


@pytest.fixture
def data(tmp_path):
    return config(write_idx(tmp_path / "idx"))


def test_everything_that_changes_an_autoencoder_is_in_its_identity(data, tmp_path):
    base = content_key(source(data, tmp_path).identity())
    changes = {"latent": 5, "channels": [5], "anisotropy": 2.0, "shift": 0.5, "epochs": 2, "least_steps": 3}
    keys = [content_key(source(data, tmp_path, **{k: v}).identity()) for k, v in changes.items()]
    keys += [content_key(source(data, tmp_path, "ae2").identity())]
    keys += [content_key(source(DigitsData(kind="digits"), tmp_path).identity())]
    assert len({base, *keys}) == len(keys) + 1
    assert content_key(source(data, tmp_path, name="ae1").identity()) == base


def test_other_encoders_of_the_zoo_are_not_in_it(data, tmp_path):
    alone = source(data, tmp_path, encoders={"ae1": AutoencoderConfig(seed=1)})
    assert alone.identity() == source(data, tmp_path).identity()


def test_it_is_trained_once(data, tmp_path):
    first = source(data, tmp_path).load()
    again = sources(ZOO, data, tmp_path, True, None)["ae1"].load()  # could not train
    images = first.prepare(list(PIXELS[..., 0]))
    with torch.no_grad():
        assert torch.equal(first(images), again(images))
        assert first(images).shape == (len(PIXELS), 4)
        other = source(data, tmp_path, "ae2").load()
        assert not torch.allclose(first(images), other(images), atol=0.1)


def test_test_images_play_no_part_in_training(tmp_path):
    changed = PIXELS[..., 0].copy()
    changed[9:] = 255 - changed[9:]
    first = source(config(write_idx(tmp_path / "a")), tmp_path / "out").load()
    second = source(config(write_idx(tmp_path / "b", changed)), tmp_path / "out").load()
    images = first.prepare(list(PIXELS[..., 0]))
    with torch.no_grad():
        assert torch.equal(first(images), second(images))


def test_colour_images_are_read_too(tmp_path):
    encoder = source(config(write_folders(tmp_path / "colour")), tmp_path / "out").load()
    assert encoder(encoder.prepare(list(PIXELS))).shape == (len(PIXELS), 4)


@pytest.mark.parametrize(("latent", "most"), [(37, 36), (1000, 36)])
def test_a_latent_larger_than_the_image_is_refused(data, tmp_path, latent, most):
    with pytest.raises(
        UserError, match=f"zoo.latent={latent} is larger than the images.*= 36 values"
    ) as told:
        source(data, tmp_path, latent=latent).load()
    assert f"zoo.latent={most} or less" in str(told.value)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_latent_as_large_as_the_image_is_not(data, tmp_path):
    assert source(data, tmp_path, latent=36).load().dim == 36


def test_images_of_several_sizes_or_channels_are_refused(tmp_path):
    from PIL import Image

    root = write_folders(tmp_path / "mixed")
    path = sorted(root.rglob("*.png"))[0]
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(path)  # grey among coloured ones
    with pytest.raises(UserError, match="some are grey and some in colour"):
        source(config(root), tmp_path).load()
    Image.fromarray(np.zeros((7, 6, 3), np.uint8)).save(path)
    with pytest.raises(UserError, match="several sizes") as told:
        source(config(root), tmp_path).load()
    assert "zoo=vision" not in str(told.value)  # would not help here
