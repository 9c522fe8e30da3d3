"""A row for each method, a column for each metric: what several measures say of many methods."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.measures import JOIN, measure_of
from relrep_exp.report.render.marks import seeds_legend, winners, with_best
from relrep_exp.report.tables.cells import RANKING, Cell, Column, Line, Table
from relrep_exp.report.tables.gaps import base_gaps, by_method, is_absolute, methods_of, missing_cell
from relrep_exp.report.tables.series import natural, series_of

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Gap, Point

Cells = dict[Any, Cell | None]

_TOLD = {
    JOIN: "join: seconds of one process until the decoders of all other encoders can read a new one, mean "
    "over test encoders, measured on the machine that made the record; learning anchors before is no part",
    "parallel_points": "parallel points: samples of a new encoder that must be paired with the others'",
}


def methods_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()) -> Table:
    """One row for each value of `experiment.x` and each method, one column for each of `experiment.metrics`.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    x = str(experiment.x)
    columns = tuple(Column(measure_of(m).unit, "", measure_of(m)) for m in experiment.metrics)
    found = {
        (one.method, m): one.cells for m in experiment.metrics for one in series_of(experiment, points, m)
    }
    lacking = by_method(base_gaps(gaps))
    places = {place for cells in found.values() for place in cells} | {gap.at[x] for gap in base_gaps(gaps)}
    methods = methods_of(experiment, points, gaps)
    own = {method for method in methods if is_absolute(experiment, method)}
    rows: list[Line] = []
    for place in sorted(places, key=natural):
        lines = []
        for method in methods:
            absent = missing_cell(gap for gap in lacking.get(method, []) if gap.at[x] == place)
            cells = tuple(found.get((method, c.measure.name), {}).get(place, absent) for c in columns)
            lines.append(Line(str(place), method, cells, method=method))
        rows += _marked(lines, columns, own)
    measures = ", ".join(column.measure.label for column in columns)
    tasks = ", ".join(dict.fromkeys(point.record.task for point in points)) or "no records"
    ranking = RANKING.replace("per row", f"per {x}")
    table = Table(f"{tasks}: {measures}", columns, tuple(rows), "", (x, "method"), (x, "method"), ranking)
    return replace(table, legend=seeds_legend(table, _legend(experiment, own)))


def _legend(experiment: ExperimentConfig, own: Collection[str]) -> str:
    """What the columns hold, and what a reader would not guess."""
    alone = f" ({', '.join(sorted(own))}: each with itself)" if own else ""
    told = [_TOLD[metric] for metric in experiment.metrics if metric in _TOLD]
    return "; ".join([f"mean over pairs of different encoders{alone}", *told])


def _marked(lines: Sequence[Line], columns: Sequence[Column], own: Collection[str]) -> list[Line]:
    """The lines with the best of each column marked, among methods that read other encoders."""
    marked = list(lines)
    for number, column in enumerate(columns):
        rivals = {
            row: cell.mean
            for row, line in enumerate(lines)
            if (cell := line.cells[number]) and line.method not in own
        }
        for row in winners(column.measure, rivals):
            marked[row] = with_best(marked[row], [number])
    return marked
