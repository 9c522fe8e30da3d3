"""The zoo of autoencoders: what tells one from another, trained once, and images that do not suit it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from making import HOW, encode, sources, told
from PIL import Image
from tiny_images import PIXELS, config, write_folders, write_idx

from relrep_exp.config.schema import AutoencoderConfig, AutoencoderZoo, DigitsData
from relrep_exp.store.keys import content_key

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
    return sources(replace(ZOO, **more), data, outputs)[name]


@pytest.fixture
def data(tmp_path):
    return config(write_idx(tmp_path / "idx"))


def test_everything_that_changes_an_autoencoder_is_in_its_identity_and_nothing_of_the_others(data, tmp_path):
    base = source(data, tmp_path).identity()
    changes = {"latent": 5, "channels": [5], "anisotropy": 2.0, "shift": 0.5, "epochs": 2, "least_steps": 3}
    others = [source(data, tmp_path, **{key: value}) for key, value in changes.items()]
    others += [source(data, tmp_path, "ae2"), source(DigitsData(kind="digits"), tmp_path)]
    keys = [content_key(one.identity()) for one in others]
    assert len({content_key(base), *keys}) == len(keys) + 1
    assert source(data, tmp_path, encoders={"ae1": AutoencoderConfig(seed=1)}).identity() == base


def test_it_is_trained_once(data, tmp_path):
    first, again = source(data, tmp_path).load(HOW), source(data, tmp_path).load(None)  # could not train
    images = list(PIXELS[..., 0])
    assert torch.equal(encode(first, images), encode(again, images))
    assert encode(first, images).shape == (len(PIXELS), 4)
    other = source(data, tmp_path, "ae2").load(HOW)
    assert not torch.allclose(encode(first, images), encode(other, images), atol=0.1)


def test_test_images_play_no_part_in_training(tmp_path):
    changed = PIXELS[..., 0].copy()
    changed[9:] = 255 - changed[9:]
    first = source(config(write_idx(tmp_path / "a")), tmp_path / "out").load(HOW)
    second = source(config(write_idx(tmp_path / "b", changed)), tmp_path / "out").load(HOW)
    images = list(PIXELS[..., 0])
    assert torch.equal(encode(first, images), encode(second, images))


def test_colour_images_are_read_too(tmp_path):
    encoder = source(config(write_folders(tmp_path / "colour")), tmp_path / "out").load(HOW)
    assert encode(encoder, list(PIXELS)).shape == (len(PIXELS), 4)


def test_a_latent_larger_than_the_image_is_refused_and_one_as_large_is_not(data, tmp_path):
    for latent in (37, 1000):
        [problem] = told(source(data, tmp_path, latent=latent).load, HOW)
        assert f"zoo.latent={latent} is larger than the images" in problem.what
        assert "= 36 values" in problem.what and "zoo.latent=36 or less" in problem.remedy
    assert not list(tmp_path.rglob("*.safetensors"))
    assert source(data, tmp_path, latent=36).load(HOW).dim == 36


def test_images_of_several_sizes_or_channels_are_refused(tmp_path):
    root = write_folders(tmp_path / "mixed")
    path = sorted(root.rglob("*.png"))[0]
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(path)  # grey among coloured ones
    [problem] = told(source(config(root), tmp_path).load, HOW)
    assert "some are grey and some in colour" in problem.what
    Image.fromarray(np.zeros((7, 6, 3), np.uint8)).save(path)
    [problem] = told(source(config(root), tmp_path).load, HOW)
    assert "several sizes" in problem.what and "zoo=vision" not in problem.remedy  # would not help here
