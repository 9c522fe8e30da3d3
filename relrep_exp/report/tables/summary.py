"""The table of a single run: every metric on every pair of encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relrep_exp.report.measures import RESCALED, Measure, measure_of
from relrep_exp.report.tables.cells import Cell, Column, Line, Table, mean_of
from relrep_exp.report.tables.pair_tables import (
    MATCHING,
    MEAN,
    OFF_DIAGONAL,
    Pair,
    encoder_order,
    source_role,
)

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

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
    values = {(row.target, row.source, row.metric): row.value for row in record.rows}
    measures = [measure_of(name) for name in _SHOWN if any(key[2] == name for key in values)]
    pairs = _pairs(values, measures)
    lines = [Line(*pair, tuple(_cell(values, pair, measure) for measure in measures)) for pair in pairs]
    columns = tuple(
        Column(_SHORT.get(measure.name, measure.label), record.method, measure) for measure in measures
    )
    title = f"{record.task}: {record.method}, seed {record.config.get('seed')}"
    legend = "one run; R@1 = recall at 1, RR = relative representation"
    role = source_role([record])
    names, fields = ("test encoder", role), ("test_encoder", f"{role}_encoder")
    return Table(title, columns, (*lines, *_closing(lines)), legend, names, fields)


def _pairs(values: Values, measures: Sequence[Measure]) -> list[Pair]:
    """The pairs that were stitched; a metric of the test encoder alone makes none beside them."""
    of_pairs = {measure.name for measure in measures if not measure.per_encoder}
    shown = of_pairs or {measure.name for measure in measures}
    present = dict.fromkeys((target, source) for target, source, metric in values if metric in shown)
    order = encoder_order((source, target) for target, source in present)
    return [(target, source) for target in order for source in order if (target, source) in present]


def _cell(values: Values, pair: Pair, measure: Measure) -> Cell | None:
    value = values.get((*pair, measure.name))
    if value is None and measure.per_encoder:
        value = values.get((pair[0], pair[0], measure.name))
    return None if value is None else Cell(value, math.nan, 1)


def _closing(lines: Sequence[Line]) -> list[Line]:
    crossed = [line for line in lines if line.target != line.source]
    chosen = crossed or lines
    if not chosen:
        return []
    cells = tuple(_mean([line.cells[index] for line in chosen]) for index in range(len(chosen[0].cells)))
    return [Line(MEAN, OFF_DIAGONAL if crossed else MATCHING, cells, closing=True)]


def _mean(cells: Sequence[Cell | None]) -> Cell | None:
    values = [cell.mean for cell in cells if cell]
    return Cell(mean_of(values), math.nan, 1) if values else None
