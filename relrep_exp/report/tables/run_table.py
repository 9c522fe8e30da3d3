"""The table of a single run: every metric on every pair of encoders. And what any table reads in records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from relrep_exp.report.tables.table import RESCALED, Cell, Column, Line, Table, mean_of, measure_of

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

MEAN = "mean"
OFF_DIAGONAL = "off-diagonal"
MATCHING = "matching"
RETRIEVAL = ("source_encoder", "zero_shot_encoder")

Pair = tuple[str, str]  # (target, source)

_HEADLINES = ("f1_weighted", "mse", "rr_cosine", "recall@1", "reconstruction_cosine", "accuracy@1")
_SHOWN = (
    "f1_weighted",
    "accuracy",
    "mse",
    "own_mse",
    "psnr",
    "ssim",
    "recall@1",
    "recall@5",
    "mrr",
    "nmse",
    "cka",
    "overlap",
    "rr_cosine",
    "shift_near",
    "shift_far",
    "rr_std",
    "effective_rank",
    "parallel_points",
    "variance",
    "autoencoder_mse",
    "reconstruction_cosine",
    "reconstruction_relative_error",
    "reconstruction_rank",
    "reconstruction_condition",
    *(f"{RESCALED}{factor}" for factor in ("0.01", "0.1", "1", "10", "100")),
)
# Ten metrics share a line of 100 columns with two names: the heading has to be short.
_SHORT = {
    "f1_weighted": "F1 %",
    "accuracy": "acc. %",
    "recall@1": "R@1 %",
    "recall@5": "R@5 %",
    "overlap": "overl.",
    "rr_cosine": "cos.",
    "shift_near": "near",
    "shift_far": "far",
    "effective_rank": "rank",
    "parallel_points": "points",
}

Values = dict[tuple[str, str, str], float]


def run_table(record: Record) -> Table:
    """Rows (test encoder, its source), columns the metrics that the run has, the mean as closing row.

    The mean is over the off-diagonal pairs, or over the matching ones if the run has no other (`absolute`).
    """
    role = source_role([record])
    values = {(row.target, row.source, row.metric): row.value for row in record.rows}
    measures = [measure_of(name) for name in _SHOWN if any(key[2] == name for key in values)]
    # A metric of the test encoder alone makes no pair beside those that were stitched.
    of_pairs = {measure.name for measure in measures if not measure.per_encoder}
    shown = of_pairs or {measure.name for measure in measures}
    present = dict.fromkeys((target, source) for target, source, metric in values if metric in shown)
    order = dict.fromkeys(name for target, source in present for name in (source, target))
    lines = []
    for target, source in [(t, s) for t in order for s in order if (t, s) in present]:
        cells: list[Cell | None] = []
        for measure in measures:
            value = values.get((target, source, measure.name))
            if value is None and measure.per_encoder:
                value = values.get((target, target, measure.name))
            cells.append(None if value is None else Cell(value, math.nan, 1))
        lines.append(Line(target, source, tuple(cells)))
    crossed = [line for line in lines if line.target != line.source]
    chosen = crossed or lines
    means: list[Cell | None] = []
    for index in range(len(measures)):
        column = [cell.mean for line in chosen if (cell := line.cells[index])]
        means.append(Cell(mean_of(column), math.nan, 1) if column else None)
    if chosen:
        lines.append(Line(MEAN, OFF_DIAGONAL if crossed else MATCHING, tuple(means), closing=True))
    columns = tuple(Column(_SHORT.get(one.name, one.label), record.method, one) for one in measures)
    title = f"{record.task}: {record.method}, seed {record.config.get('seed')}"
    legend = "one run; R@1 = recall at 1, RR = relative representation"
    names, fields = ("test encoder", role), ("test_encoder", f"{role}_encoder")
    return Table(title, columns, tuple(lines), legend, names, fields)


def headline(records: Sequence[Record]) -> str:
    """The metric that a comparison of these records shows: a known headline, or else their first."""
    metrics = dict.fromkeys(row.metric for record in records for row in record.rows)
    return next((name for name in _HEADLINES if name in metrics), next(iter(metrics), _HEADLINES[0]))


def source_role(records: Sequence[Record]) -> str:
    """What a row's source does: a classifier or decoder was trained on it; in retrieval it searches."""
    of = kinds(records)
    if of == {"reconstruction"}:
        return "decoder"
    return "source" if of and of <= {"retrieval", "geometry"} else "classifier"


def encoder_order(pairs: Iterable[Pair]) -> list[str]:
    """The encoders in the order in which pairs (source, target) name them."""
    return list(dict.fromkeys(name for pair in pairs for name in pair))


def kinds(records: Iterable[Record]) -> set[str | None]:
    """The kinds of the records' tasks."""
    return {(record.config.get("task") or {}).get("kind") for record in records}
