"""Plausible experiments: points made up without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.tables.points import Point
from relrep_exp.store.records import Record, Row

from .synthetic import record

PAIRS = [*permutations(("a", "b", "c"), 2)]


def experiment(**changes: Any) -> ExperimentConfig:
    """An experiment of two methods over three seeds."""
    values: dict[str, Any] = {
        "name": "made_up",
        "title": "Made up",
        "methods": {"x": ["anchors=random"], "y": ["anchors=param"]},
        "axes": {"seed": [0, 1, 2]},
    }
    return ExperimentConfig(**{**values, **changes})


def run(method: str, seed: int, values: Mapping[str, float], **config: Any) -> Record:
    """A run with the same value for every pair of different encoders, or of each with itself (`rr_std`)."""
    own = [(name, name) for name in "abc"]
    rows = [
        Row(*pair, method, metric, value)
        for metric, value in values.items()
        for pair in (own if metric == "rr_std" or method == "absolute" else PAIRS)
    ]
    return record(method, seed, rows, config=config)


def point(
    method: str,
    seed: int,
    values: Mapping[str, float],
    varied: tuple[str, Any] | None = None,
    axes: Mapping[str, Any] | None = None,
    **config: Any,
) -> Point:
    """A finished run; its configuration is its place in the experiment unless `config` says another one."""
    at = {"seed": seed, **(axes or {})}
    own = config or {**(axes or {}), **dict([varied] if varied else [])}
    return Point(method, at, varied, run(method, seed, values, **own))


def along(
    key: str, xs: Sequence[Any], seeds: Sequence[int], value: Callable[[str, Any, int], Mapping[str, float]]
) -> list[Point]:
    """Two methods along an axis; `value` takes method, place and seed."""
    return [
        point(method, seed, value(method, x, seed), axes={key: x})
        for method in ("x", "y")
        for x in xs
        for seed in seeds
    ]
