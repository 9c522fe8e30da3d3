"""Made-up encoders: the deformation that the configuration names, the same for a sample in any company."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
import torch
from making import HOW, encode, sources

from relrep_exp.config.schema import ClustersData, DistortedEncoderConfig, DistortedZoo
from relrep_exp.data.samples import PointSample
from relrep_exp.encoders.distorted import direction, rotation, scales

ALL = {"rotation": 35.0, "condition": 9.0, "scale": 1.7, "translation": 4.0, "seed": 3}
POINTS = torch.randn(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def source(dim=2, **settings):
    zoo = DistortedZoo("distorted", "distorted", {"it": DistortedEncoderConfig(**settings)})
    return sources(zoo, ClustersData("clusters", "clusters", dim=dim))["it"]


def encoder(dim=2, **settings):
    return source(dim, **settings).load(HOW)


def samples(points=POINTS):
    return [PointSample(number, point) for number, point in enumerate(points)]


def test_the_deformation_is_the_formula():
    """y = s R D x + t, one sample at a time."""
    found, angle = encode(encoder(**ALL), samples()).numpy(), math.radians(35.0)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    stretch = np.diag([3.0, 1 / 3.0])
    shift = 4.0 * direction(2, 3).numpy()
    expected = np.stack([1.7 * (turn @ (stretch @ x)) + shift for x in POINTS.numpy()])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nothing_set_is_nothing_done():
    assert torch.equal(encode(encoder(), samples()), POINTS)


@pytest.mark.parametrize("dim", [2, 3, 4, 7])
def test_a_rotation_turns_by_its_angle_in_every_plane(dim):
    found = rotation(35.0, dim, seed=1)
    torch.testing.assert_close(found @ found.T, torch.eye(dim, dtype=torch.float64))
    assert torch.linalg.det(found) == pytest.approx(1.0)
    angles = torch.linalg.eigvals(found).angle().abs().rad2deg().sort().values
    expected = [0.0] * (dim % 2) + [35.0] * (dim - dim % 2)
    assert angles.tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(found, rotation(35.0, dim, seed=2)) == (dim == 2)  # there the plane is given


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_the_condition_is_that_of_the_map_which_keeps_volumes(dim):
    matrix = encoder(dim, **{**ALL, "scale": 1.0}).matrix
    assert float(torch.linalg.cond(matrix)) == pytest.approx(9.0)
    assert float(torch.linalg.det(matrix)) == pytest.approx(1.0)
    assert scales(1.0, dim).tolist() == [1.0] * dim


def test_the_translation_has_its_length_and_the_seeds_direction():
    assert float(encoder(5, translation=4.0, seed=1).shift.norm()) == pytest.approx(4.0)
    assert float(direction(5, 1) @ direction(5, 2)) < 0.999


def test_noise_does_not_depend_on_the_batch():
    it, chosen = encoder(**ALL, noise=0.3), samples()
    together = encode(it, chosen)
    assert torch.equal(encode(it, chosen[::-1]).flip(0), together)
    alone = torch.cat([encode(it, [sample]) for sample in chosen])
    torch.testing.assert_close(alone, together, rtol=0, atol=2e-5)  # products of one row round otherwise
    assert torch.equal(encode(pickle.loads(pickle.dumps(it)), chosen), together)


def test_noise_has_its_deviation_and_differs_between_samples_and_seeds():
    def noise(**settings):
        return encode(encoder(noise=0.3, **settings), samples()) - POINTS

    assert float(noise().std()) == pytest.approx(0.3, rel=0.1)
    assert len(noise().unique()) == POINTS.numel()
    assert float((noise() * noise(seed=1)).mean()) < 0.01
    same_place = [PointSample(number, POINTS[0]) for number in (0, 1)]
    first, second = encode(encoder(noise=0.3), same_place)
    assert not torch.equal(first, second)


def test_the_identity_says_every_setting_and_the_data_the_dimension():
    settings = {**ALL, "noise": 0.1}
    assert settings.keys() == {one.name for one in dataclasses.fields(DistortedEncoderConfig)}
    others = [source(**{name: value}).identity() for name, value in settings.items()]
    assert all(other != source().identity() for other in others)
    loaded = encoder(4, **ALL)
    assert (source().view, loaded.dim, loaded.training) == ("point", 4, False)


@pytest.mark.parametrize(
    "wrong", [{"condition": 0.9}, {"scale": 0.0}, {"translation": -1.0}, {"noise": -0.1}]
)
def test_impossible_deformations_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DistortedEncoderConfig(**wrong)
