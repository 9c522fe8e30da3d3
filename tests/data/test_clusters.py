"""Made-up clusters: what the configuration says is what is drawn."""

import dataclasses

import pytest
import reading as sources
import torch

from relrep_exp.config.schema import ClustersData
from relrep_exp.config.schema.types import POINT

DATA = ClustersData("clusters", "clusters", clusters=4, train=800, test=100, spread=3.0, width=0.2, seed=5)


def drawn(**changes):
    view = sources.load(dataclasses.replace(DATA, **changes), [POINT], True).views[POINT]
    return torch.stack([sample.coordinates for sample in view.samples]), view


def centres(points, labels):
    return torch.stack([points[labels == label].mean(0) for label in labels.unique()])


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_points_lie_around_centres_whose_mean_is_the_origin(dim):
    points, view = drawn(dim=dim)
    assert points.shape == (900, dim) and points.dtype == torch.float64
    found = centres(points, view.labels)
    assert found.shape == (4, dim)
    assert found.mean(0).abs().max() < 0.05
    assert (points - found[view.labels]).std() == pytest.approx(0.2, rel=0.05)


def test_spread_and_width_scale_centres_and_clusters_alone():
    points, view = drawn()
    wide, _ = drawn(width=0.4)
    far, _ = drawn(spread=6.0, width=0.4)
    assert torch.allclose(far, 2 * points)
    offsets = points - centres(points, view.labels)[view.labels]
    assert torch.allclose(wide - centres(wide, view.labels)[view.labels], 2 * offsets)


def test_samples_are_numbered_and_every_cluster_is_in_both_splits():
    _, view = drawn()
    assert [sample.number for sample in view.samples] == list(range(900))
    assert view.is_train.tolist() == [True] * 800 + [False] * 100
    for rows in (view.is_train, ~view.is_train):
        assert view.labels[rows].bincount().tolist() == [int(rows.sum()) // 4] * 4


def test_the_identity_says_what_determines_the_points():
    def identity(**changes):
        return sources.identity(dataclasses.replace(DATA, **changes), [POINT], True)[POINT]

    changes = [
        {"dim": 3},
        {"clusters": 3},
        {"train": 9},
        {"test": 9},
        {"spread": 1.0},
        {"width": 1.0},
        {"seed": 6},
    ]
    assert all(identity(**change) != identity() for change in changes)
    assert identity(param_batch=7) == identity()
    assert torch.equal(drawn()[0], drawn(param_batch=7)[0])
    assert not torch.equal(drawn()[0], drawn(seed=6)[0])
