"""Which samples a run reads: pure functions of its configuration."""

from __future__ import annotations

from relrep_exp.data.samples import IMAGE, POINT
from relrep_exp.schema import (
    AutoencoderZoo,
    Config,
    DistortedZoo,
    LocalLmZoo,
    LocalZoo,
    PrecomputedZoo,
    TimmZoo,
)

ENGLISH = "en"


def views(config: Config) -> list[str]:
    """The views of the data that the zoo's encoders read, in their order; none for precomputed ones."""
    zoo = config.zoo
    if isinstance(zoo, PrecomputedZoo):
        return []
    if isinstance(zoo, LocalZoo | AutoencoderZoo | TimmZoo):
        return [IMAGE]
    if isinstance(zoo, DistortedZoo):
        return [POINT]
    if isinstance(zoo, LocalLmZoo):
        return [ENGLISH]
    return list(dict.fromkeys(encoder.language for encoder in zoo.encoders.values()))


def own_pairs(config: Config) -> bool:
    """Whether anchors, P and the metric set come from the task's own samples."""
    return own_pairs_of(config.parallel.kind, config.parallel.use, config.data.kind)


def own_pairs_of(parallel: str, use: str, data: str) -> bool:
    """The same from the kinds of both and from parallel.use."""
    needed = data == "texts"  # of all data the only kind whose rows are not the same everywhere
    return parallel == "own" or (use == "where_needed" and not needed)
