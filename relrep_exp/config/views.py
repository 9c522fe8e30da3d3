"""Which samples a run reads: pure functions of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from relrep_exp.config.schema import Config
from relrep_exp.config.schema.types import ENGLISH, IMAGE, POINT

__all__ = ["ENGLISH", "IMAGE", "POINT", "languages", "own_pairs", "own_pairs_of", "views"]


def views(config: Config) -> list[str]:
    """The views of the data that the zoo's encoders read, in their order; none for precomputed ones."""
    return list(dict.fromkeys(config.zoo.views))


def own_pairs(config: Config) -> bool:
    """Whether anchors, P and the metric set come from the task's own samples."""
    return own_pairs_of(config.parallel.kind, config.parallel.use, config.data.kind, len(views(config)))


def own_pairs_of(parallel: str, use: str, data: str, views: int) -> bool:
    """The same from the kinds of both, from parallel.use and from the number of views that are read."""
    # Of all data the only kind whose rows are not the same everywhere; in one language they are.
    needed = data == "texts" and views > 1
    return parallel == "own" or (use == "where_needed" and not needed)


def languages(encoders: Mapping[str, Any] | None) -> set[str]:
    """The languages of a zoo of texts from its configuration before it is typed."""
    return {encoder.get("language", ENGLISH) for encoder in (encoders or {}).values()}


def _param_batch(batch: int, parallel: DictConfig, data: DictConfig, zoo: DictConfig) -> int:
    """What conf/anchors/param calls: the batch of PARAM, or what suits the samples that it learns P on."""
    views = len(languages(zoo.encoders)) if data.kind == "texts" else 1
    own = own_pairs_of(parallel.kind, parallel.use, data.kind, views)
    return (data if own else parallel).get("param_batch") or batch


OmegaConf.register_new_resolver("param_batch", _param_batch, replace=True)
