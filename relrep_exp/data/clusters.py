"""conf/data/clusters: made-up points of Gaussian clusters, whose geometry is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema.types import POINT
from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import PointSample, Samples, View
from relrep_exp.training.seeding import generator

if TYPE_CHECKING:
    from relrep_exp.config.schema import ClustersData

VERSION = 1


def identity(config: ClustersData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell these points and their split from others, by their settings."""
    return {POINT: {**settings(config), "version": VERSION}}


def load(config: ClustersData, views: Sequence[str], offline: bool) -> Samples:
    """Draw points in turn from each cluster, labelled by it; those to learn from come first."""
    import torch

    n = config.train + config.test
    labels = torch.arange(n) % config.clusters
    rng = generator(config.seed, "clusters")
    drawn = torch.randn(config.clusters + n, config.dim, generator=rng, dtype=torch.float64)
    centres, offsets = config.spread * drawn[: config.clusters], config.width * drawn[config.clusters :]
    points = (centres - centres.mean(0))[labels] + offsets
    samples = [PointSample(number, point) for number, point in enumerate(points)]
    return Samples({POINT: View(samples, torch.arange(n) < config.train, labels)}, parallel=True)
