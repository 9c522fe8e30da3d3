"""Tables of an experiment's means: metric by metric (Table 4), along an axis, and under variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relrep_exp.report.cells import (
    ABSOLUTE,
    RANKING,
    Cell,
    Column,
    Line,
    Table,
    cell_of,
    mark_best,
    seeds_legend,
)
from relrep_exp.report.effects import BASE, Effect, effects_of
from relrep_exp.report.measures import Measure, measure_of
from relrep_exp.report.points import base_points, by_seed, of_methods, score
from relrep_exp.report.series import series_of, values_of

if TYPE_CHECKING:
    from relrep_exp.report.points import Point
    from relrep_exp.schema import ExperimentConfig

_OVER = "mean over pairs of different encoders"


def metrics_table(experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """One row for each of `experiment.metrics`, one column for each method (Table 4).

    Raises:
        ValueError: the runs differ in more than method and seed.
    """
    records = {m: list(by_seed(own).values()) for m, own in of_methods(base_points(points)).items()}
    measures = [measure_of(metric) for metric in experiment.metrics]
    columns = tuple(Column(method, method, measures[0]) for method in records)
    lines = []
    for measure in measures:
        scores = [[score(record, measure.name) for record in own] for own in records.values()]
        cells = tuple(cell_of([v for v in values if v is not None]) for values in scores)
        over = "encoders" if measure.per_encoder else "pairs"
        lines.append(Line(measure.unit, over, cells, measure=measure))
    return _table(points, ("metric", "mean over"), ("measure", "mean_over"), columns, lines)


def axis_table(experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """One row for each value of `experiment.x` and each of `experiment.metrics`, one column for each method.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    measures = [measure_of(metric) for metric in experiment.metrics]
    found = {measure.name: series_of(experiment, points, measure.name) for measure in measures}
    first = found[measures[0].name]
    columns = tuple(Column(one.method, one.method, measures[0]) for one in first)
    lines = [
        Line(str(x), measure.unit, tuple(one.cells.get(x) for one in found[measure.name]), measure=measure)
        for x in values_of(first)
        for measure in measures
    ]
    x = str(experiment.x)
    return _table(points, (x, "metric"), (x, "measure"), columns, lines)


def variations_table(experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """One row for each value of each varied key, one column for each method, with the difference to its base.

    The first row is the base: every method's own setting.

    Raises:
        ValueError: the runs differ in more than method, seed and one varied key.
    """
    effects = effects_of(experiment, points)
    columns = tuple({e.method: Column(e.method, e.method, e.measure) for e in effects}.values())
    places: dict[tuple[str, str], dict[str, Cell | None]] = {}
    for effect in effects:
        places.setdefault(_place(effect), {})[effect.method] = effect.cell
    lines = [
        Line(*place, tuple(cells.get(column.method) for column in columns)) for place, cells in places.items()
    ]
    table = _table(points, ("changed", "to"), ("key", "value"), columns, lines)
    change = "in brackets the mean difference to the same seeds under the method's own setting"
    return replace(table, legend=f"{table.legend}; {change}")


def _place(effect: Effect) -> tuple[str, str]:
    return (BASE, "") if effect.key == BASE else (effect.key, str(effect.value))


def _table(
    points: Sequence[Point],
    names: tuple[str, str],
    fields: tuple[str, str],
    columns: tuple[Column, ...],
    lines: Sequence[Line],
) -> Table:
    """Lines that hold several measures, or columns that do."""
    held = list(dict.fromkeys(line.measure_in(column) for line in lines for column in columns))
    rows = tuple(mark_best(line, columns) for line in lines)
    ranked = any(cell.best for line in rows for cell in line.cells if cell)
    if len({column.measure for column in columns}) > 1:  # each column says its own
        columns = tuple(replace(c, label=f"{c.label}, {c.measure.unit}") for c in columns)
    tasks = ", ".join(dict.fromkeys(point.record.task for point in points)) or "no records"
    title = f"{tasks}: {', '.join(measure.label for measure in held)}" if held else tasks
    table = Table(title, columns, rows, "", names, fields, RANKING if ranked else "")
    return replace(table, legend=seeds_legend(table, _legend(held, columns)))


def _legend(held: Sequence[Measure], columns: Sequence[Column]) -> str:
    what = f"{held[0].unit}, {_OVER}" if len(held) == 1 else _OVER
    absolute = bool(columns) and columns[0].method == ABSOLUTE
    return f"{what} (absolute: each with itself)" if absolute else what
