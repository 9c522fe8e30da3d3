"""Make the table of a single run, every metric on every pair of encoders; and read what any table reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from relrep_exp.report.tables.measures import MEASURES, RESCALED, mean_of, measure_of
from relrep_exp.report.tables.table import Cell, Column, Line, Table

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

MEAN = "mean"
OFF_DIAGONAL = "off-diagonal"
MATCHING = "matching"
RETRIEVAL = ("source_encoder", "zero_shot_encoder")

Pair = tuple[str, str]  # (target, source)

_HEADLINES = ("f1_weighted", "mse", "rr_cosine", "recall@1", "reconstruction_cosine", "accuracy@1")
_SHOWN = (*MEASURES, *(f"{RESCALED}{factor}" for factor in ("0.01", "0.1", "1", "10", "100")))


def run_table(record: Record) -> Table:
    """Make a row for each pair (test encoder, its source), a column for each metric, the mean as closing row.

    The mean is over the off-diagonal pairs, or over the matching ones if the run has no other (`absolute`).
    """
    values = {(row.target, row.source, row.metric): row.value for row in record.rows}
    held = {metric for _, _, metric in values}
    measures = [measure_of(name) for name in _SHOWN if name in held]
    # A metric of the test encoder alone makes no pair beside those that were stitched.
    shown = {one.name for one in measures if not one.per_encoder} or {one.name for one in measures}
    present = dict.fromkeys((target, source) for target, source, metric in values if metric in shown)
    order = dict.fromkeys(name for target, source in present for name in (source, target))
    lines = []
    for target, source in [(t, s) for t in order for s in order if (t, s) in present]:
        cells = []
        for measure in measures:
            value = values.get((target, source, measure.name))
            if value is None and measure.per_encoder:
                value = values.get((target, target, measure.name))
            cells.append(None if value is None else Cell(value, math.nan, 1))
        lines.append(Line(target, source, tuple(cells)))
    crossed = [line for line in lines if line.target != line.source]
    if chosen := crossed or lines:
        means = []
        for cells_of_measure in zip(*(line.cells for line in chosen), strict=True):
            found = [cell.mean for cell in cells_of_measure if cell]
            means.append(Cell(mean_of(found), math.nan, 1) if found else None)
        lines.append(Line(MEAN, OFF_DIAGONAL if crossed else MATCHING, tuple(means), closing=True))
    columns = tuple(Column(one.short or one.label, record.method, one) for one in measures)
    role = source_role([record])
    title = f"{record.task}: {record.method}, seed {record.config.get('seed')}"
    legend = "one run; R@1 = recall at 1, RR = relative representation"
    names, fields = ("test encoder", role), ("test_encoder", f"{role}_encoder")
    return Table(title, columns, tuple(lines), legend, names, fields)


def headline(records: Sequence[Record]) -> str:
    """Choose the metric that a comparison of these records shows: a known headline, or else their first."""
    metrics = dict.fromkeys(row.metric for record in records for row in record.rows)
    return next((name for name in _HEADLINES if name in metrics), next(iter(metrics), _HEADLINES[0]))


def source_role(records: Sequence[Record]) -> str:
    """Name what a row's source does: a classifier or decoder was trained on it; in retrieval it searches."""
    of = kinds(records)
    if of == {"reconstruction"}:
        return "decoder"
    return "source" if of and of <= {"retrieval", "geometry"} else "classifier"


def encoder_order(pairs: Iterable[Pair]) -> list[str]:
    """List the encoders in the order in which pairs (source, target) name them."""
    return list(dict.fromkeys(name for pair in pairs for name in pair))


def kinds(records: Iterable[Record]) -> set[str | None]:
    """Collect the kinds of the records' tasks."""
    return {(record.config.get("task") or {}).get("kind") for record in records}
