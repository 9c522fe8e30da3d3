"""Autoencoders: shapes, the induced anisotropy against a literal transcription, and that they learn."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from relrep_exp.encoders.local.autoencoder import (
    Anisotropy,
    Autoencoder,
    ImageDecoder,
    ImageEncoder,
    ImageSettings,
    train_autoencoder,
    train_image_decoder,
    unit,
)
from relrep_exp.training.device import Training

SMALL = ImageSettings(channels=(8, 16), epochs=1, least_steps=150, batch=32, lr=1e-2)


def blobs(n=200, shape=(1, 8, 8), seed=0):
    """Images of a bright spot at a random place."""
    g = torch.Generator().manual_seed(seed)
    _, height, width = shape
    y, x = (torch.rand(n, 1, 1, generator=g) * size for size in (height, width))
    rows, columns = torch.arange(height)[None, :, None], torch.arange(width)[None, None]
    spot = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4.0)
    return (255 * spot)[:, None].expand(-1, shape[0], -1, -1).to(torch.uint8).contiguous()


def built(seed=0, anisotropy=100.0, **more):
    torch.manual_seed(seed)
    return Autoencoder((1, 8, 8), 6, anisotropy, 3.0, seed, ImageSettings(**{**vars(SMALL), **more}))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 33), st.integers(1, 33), st.sampled_from([1, 3]), st.integers(1, 3))
def test_a_decoder_draws_images_of_the_size_that_its_encoder_read(height, width, channels, depth):
    shape, widths = (channels, height, width), (4, 6, 5)[:depth]
    images = torch.rand(2, *shape)
    latents = ImageEncoder(shape, widths, 7)(images)
    drawn = ImageDecoder(7, shape, widths)(latents)
    assert latents.shape == (2, 7)
    assert drawn.shape == images.shape
    assert bool(((drawn >= 0) & (drawn <= 1)).all())


@pytest.mark.parametrize("condition", [1.5, 100.0])
def test_the_map_has_the_condition_number_and_the_shift_that_were_asked_for(condition):
    found = Anisotropy(16, condition, shift=3.0, seed=4)
    values = torch.linalg.svdvals(found.matrix.double())
    assert float(values[0] / values[-1]) == pytest.approx(condition, rel=1e-4)
    assert float(values.log().mean()) == pytest.approx(0.0, abs=1e-5)  # scales around one
    assert torch.allclose(values.log().diff(), values.log().diff()[0], atol=1e-4)  # evenly in the logarithm
    assert float(found.offset.norm()) == pytest.approx(3.0 * float(values.norm()), rel=1e-5)
    assert list(found.parameters()) == []  # nothing that a network could learn to undo


def test_maps_of_different_seeds_have_nothing_in_common():
    a, b = (Anisotropy(64, 100.0, 1.0, seed) for seed in (0, 1))
    first, second = (torch.linalg.svd(m.matrix).U[:, 0] for m in (a, b))
    assert abs(float(first @ second)) < 0.5
    assert torch.equal(a.matrix, Anisotropy(64, 100.0, 1.0, 0).matrix)


def test_latents_are_a_literal_affine_map_of_the_standardised_ones():
    model = built()
    images = blobs()
    model.encode(images)  # in training mode: moves the running statistics
    model.eval()
    with torch.no_grad():
        raw = model.encoder(unit(images)).double()
        norm = model.anisotropy.standardise
        literal = (raw - norm.running_mean.double()) / (norm.running_var.double() + norm.eps).sqrt()
        literal = torch.stack([model.anisotropy.matrix.double() @ z for z in literal])
        literal += model.anisotropy.offset.double()
        assert torch.allclose(model.encode(images).double(), literal, atol=1e-4)
        assert torch.allclose(model.encode(images)[:1], model.encode(images[:1]), atol=1e-4)  # in any batch


def test_a_condition_number_of_one_leaves_the_map_out():
    model, images = built(anisotropy=1.0), blobs(50)
    raw = model.encoder(unit(images))
    literal = (raw - raw.mean(0)) / (raw.var(0, correction=0) + 1e-5).sqrt()
    assert torch.allclose(model.encode(images), literal, atol=1e-3)  # in training mode: by this batch
    assert torch.equal(model.anisotropy.matrix, torch.eye(6)) and not model.anisotropy.offset.any()


def test_a_last_batch_of_one_image_is_no_obstacle():
    images = blobs(33)
    model = train_autoencoder(built(batch=32, least_steps=1), images, 0, Training())
    assert bool(model.encode(images).isfinite().all())


def test_training_beats_the_mean_image_and_depends_on_the_seed_alone():
    images = blobs()
    model = train_autoencoder(built(), images, 0, Training())
    first, again, other = (
        train_autoencoder(built(seed, least_steps=7), images, seed, Training()) for seed in (0, 0, 1)
    )
    with torch.no_grad():
        error = F.mse_loss(model.decoder(model.encode(images)), unit(images))
        assert error < 0.5 * F.mse_loss(unit(images).mean(0).expand_as(unit(images)), unit(images))
        assert torch.equal(first.encode(images), again.encode(images))
        assert not torch.allclose(first.encode(images), other.encode(images), atol=0.1)


def test_a_decoder_learns_from_the_features_that_it_is_given():
    images = blobs()
    features = unit(images).flatten(1) @ torch.randn(64, 12, generator=torch.Generator().manual_seed(0))
    decoder = train_image_decoder(features, images, 3, SMALL, Training())
    few = ImageSettings(**{**vars(SMALL), "least_steps": 7})
    first, again = (train_image_decoder(features, images, 3, few, Training()) for _ in range(2))
    with torch.no_grad():
        mean = unit(images).mean(0).expand_as(unit(images))
        assert F.mse_loss(decoder(features), unit(images)) < 0.5 * F.mse_loss(mean, unit(images))
        assert torch.equal(first(features), again(features))
