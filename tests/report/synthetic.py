"""Plausible records, made up without running anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, Row

ENCODERS = ("mlp", "conv", "vit")
LEVEL = {
    "absolute": 0.95,
    "random-cosine": 0.71,
    "param-wip": 0.88,
    "param_single-wip": 0.87,
    "affine": 0.80,
    "ortho": 0.78,
}


def record(method: str, seed: int, rows: Sequence[Row], **fields: Any) -> Record:
    """A record whose key tells method, configuration and seed apart, as a real one does."""
    config = {**fields.pop("config", {"zoo": "three", "decoder": {"name": "linear"}}), "seed": seed}
    key = content_key({"method": method, "config": config})
    defaults: dict[str, Any] = {
        "key": key,
        "task": "digits_stitch",
        "curves": {},
        "views": [],
        "diagnostics": {},
        "timings": {"fit": 0.1},
        "provenance": {"git": "abc123", "versions": {"torch": "2.6.0", "numpy": "2.0"}},
    }
    return Record(**{**defaults, **fields, "method": method, "config": config, "rows": list(rows)})


def single(method: str, seed: int, value: float, pair: tuple[str, str] = ("b", "a"), **fields: Any) -> Record:
    """A run with one number; the pair is (source, target)."""
    return record(method, seed, [Row(*pair, method, "f1_weighted", value)], **fields)


def grid(
    method: str, seed: int, value: Callable[[str, str], float], encoders: Sequence[str] = ENCODERS
) -> Record:
    """A run with F1 for every pair; `value` takes (source, target)."""
    rows = [Row(s, t, method, "f1_weighted", value(s, t)) for s in encoders for t in encoders]
    return record(method, seed, [row for row in rows if method != "absolute" or row.source == row.target])


def plausible(method: str, seed: int, encoders: Sequence[str] = ENCODERS) -> Record:
    """A full run of the stitching task: every metric and one view."""
    rng = np.random.default_rng([seed, len(method), sum(map(ord, method))])
    level = LEVEL[method]
    rows: list[Row] = []
    for source in encoders:
        for target in encoders:
            same = source == target
            if method == "absolute" and not same:
                continue
            score = float(min(level + 0.04 * same + rng.normal(0, 0.01), 1.0))
            values = {"f1_weighted": score, "accuracy": score + 0.001}
            if not same:
                values |= {"mrr": 0.8 * score, "recall@1": 0.7 * score, "recall@5": 0.9 * score}
                values |= {"nmse": 1 - score, "cka": score, "overlap": 0.5 * score}
            else:
                values |= {"rr_std": 1.0, "effective_rank": 40.0 + 10 * level}
            rows += [Row(source, target, method, metric, value) for metric, value in values.items()]
    return record(method, seed, rows, views=[_view(method, rng, encoders)])


def found(method: str, seed: int, encoders: Sequence[str] = ENCODERS) -> Record:
    """A run of the retrieval task: pairs of different encoders alone, and no classifier."""
    rng = np.random.default_rng([seed, len(method)])
    rows = [Row(name, name, method, "rr_std", 1.0) for name in encoders]
    for source, target in permutations(encoders, 2):
        score = float(LEVEL[method] + rng.normal(0, 0.01))
        rows += [
            Row(source, target, method, "mrr", 0.9 * score),
            Row(source, target, method, "recall@1", score),
        ]
    return record(method, seed, rows, task="slm_retrieval", config={"task": {"kind": "retrieval"}})


def _view(method: str, rng: np.random.Generator, encoders: Sequence[str]) -> dict[str, Any]:
    labels = np.repeat(np.arange(10), 3)
    own = 4 * rng.normal(size=(10, 2))[labels] + rng.normal(size=(30, 2)) * 0.5
    carried = own + rng.normal(size=(30, 2)) * (1 - LEVEL[method]) * 4 * (3 if method == "absolute" else 1)
    if method == "absolute":
        carried = rng.normal(size=(30, 2)) * 4
    pair = {"kind": "samples", "source": encoders[0], "target": encoders[1]}
    return {**pair, "labels": labels.tolist(), "native": own.tolist(), "carried": carried.tolist()}
