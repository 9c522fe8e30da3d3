"""Which samples a run reads: pure functions of its configuration."""

from __future__ import annotations

from relrep_exp.config.load import own_pairs_of
from relrep_exp.config.schema import Config
from relrep_exp.config.schema.types import ENGLISH, IMAGE, POINT

__all__ = ["ENGLISH", "IMAGE", "POINT", "own_pairs", "views"]


def views(config: Config) -> list[str]:
    """The views of the data that the zoo's encoders read, in their order; none for precomputed ones."""
    return list(dict.fromkeys(config.zoo.views))


def own_pairs(config: Config) -> bool:
    """Whether anchors, P and the metric set come from the task's own samples."""
    return own_pairs_of(config.parallel.kind, config.parallel.use, config.data.kind, len(views(config)))
