"""Make tables of an experiment's means: by metric (Table 4), along an axis, by method, under variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relrep_exp.report.tables.best import Contest, contests_of_rows, mark_best, with_uncertainty
from relrep_exp.report.tables.effects import BASE, effects_of
from relrep_exp.report.tables.measures import JOIN, measure_of
from relrep_exp.report.tables.points import (
    gaps_of_methods,
    is_absolute,
    mean_cell,
    methods_of,
    missing_cell,
    natural,
    runs_of_methods,
    series_of,
)
from relrep_exp.report.tables.table import Cell, Column, Line, Table, seeds_legend

if TYPE_CHECKING:
    from typing import Any

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Place, Point

_OVER = "mean over pairs of different encoders"
_ALONE = "mean over encoders, each by itself"
_TOLD = {
    JOIN: "join: seconds of one process until the decoders of all other encoders can read a new one, mean "
    "over test encoders, measured on the machine that made the record; learning anchors before is no part",
    "parallel_points": "parallel points: samples of a new encoder that must be paired with the others'",
}


def metrics_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()) -> Table:
    """Make one row for each of `experiment.metrics`, one column for each method (Table 4).

    Raises:
        ValueError: the runs differ in more than method and seed.
    """
    records, lacking = runs_of_methods(points), gaps_of_methods(gaps)
    columns = _columns(experiment, points, gaps)
    lines = []
    for measure in map(measure_of, experiment.metrics):
        cells = tuple(
            mean_cell(records[column.method], measure.name)
            if column.method in records
            else missing_cell(lacking.get(column.method, []))
            for column in columns
        )
        over = "encoders" if measure.per_encoder else "pairs"
        lines.append(Line(measure.unit, over, cells, measure=measure))
    return _table(points, ("metric", "mean over"), ("measure", "mean_over"), columns, lines)


def axis_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()) -> Table:
    """Make a row for each value of `experiment.x` and each of `experiment.metrics`, a column for each method.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    x, columns = str(experiment.x), _columns(experiment, points, gaps)
    cells = _cells_along(experiment, points, gaps, [column.method for column in columns])
    lines = [
        Line(str(place), measure.unit, tuple(own[c.method, measure.name] for c in columns), measure=measure)
        for place, own in cells.items()
        for measure in map(measure_of, experiment.metrics)
    ]
    return _table(points, (x, "metric"), (x, "measure"), columns, lines)


def methods_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()) -> Table:
    """Make a row for each value of `experiment.x` and each method, a column for each of `experiment.metrics`.

    The best of each column is marked among the methods that read other encoders.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    columns = tuple(Column(measure_of(m).unit, "", measure_of(m)) for m in experiment.metrics)
    methods = methods_of(experiment, points, gaps)
    own = {method for method in methods if is_absolute(experiment, method)}
    rows: list[Line] = []
    contests: list[Contest] = []
    for place, cells in _cells_along(experiment, points, gaps, methods).items():
        rivals = [len(rows) + number for number, method in enumerate(methods) if method not in own]
        contests += [
            Contest(column.measure, tuple((row, number) for row in rivals), closing=False)
            for number, column in enumerate(columns)
        ]
        rows += [
            Line(str(place), m, tuple(cells[m, column.measure.name] for column in columns), method=m)
            for m in methods
        ]
    x = str(experiment.x)
    title = f"{_tasks(points)}: {', '.join(column.measure.label for column in columns)}"
    marked, ranking = mark_best(rows, contests, per=x)
    table = with_uncertainty(Table(title, columns, marked, "", (x, "method"), (x, "method"), ranking))
    alone = f" ({', '.join(sorted(own))}: each with itself)" if own else ""
    told = [_TOLD[metric] for metric in experiment.metrics if metric in _TOLD]
    return replace(table, legend=seeds_legend(table, "; ".join([f"{_OVER}{alone}", *told])))


def variations_table(
    experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()
) -> Table:
    """Make a row for each value of each varied key, a column for each method, with the change from its base.

    The first row is the base: every method's own setting.

    Raises:
        ValueError: the runs differ in more than method, seed and one varied key.
    """
    effects = effects_of(experiment, points)
    measures = {effect.method: effect.measure for effect in effects}
    columns = tuple(
        replace(column, measure=measures.get(column.method, measure_of(experiment.metric)))
        for column in _columns(experiment, points, gaps)
    )
    places: dict[tuple[str, str], dict[str, Cell | None]] = {(BASE, ""): {}}
    for effect in effects:
        places.setdefault((effect.key, str(effect.value)), {})[effect.method] = effect.cell
    absent: dict[tuple[tuple[str, str], str], list[Place]] = {}
    for gap in gaps:
        key, value = gap.varied or (BASE, "")
        absent.setdefault(((key, str(value)), gap.method), []).append(gap)
    for (place, method), own in absent.items():
        cells = places.setdefault(place, {})
        if cells.get(method) is None:
            cells[method] = missing_cell(own)
    for column in columns:
        places[BASE, ""].setdefault(column.method, missing_cell([]))
    keys = list(dict.fromkeys(key for key, _ in places))  # a value that nobody ran stands with its key
    lines = [
        Line(*place, tuple(places[place].get(column.method) for column in columns))
        for place in sorted(places, key=lambda place: keys.index(place[0]))
    ]
    table = _table(points, ("changed", "to"), ("key", "value"), columns, lines)
    change = "in brackets the mean difference to the same seeds under the method's own setting"
    return replace(table, legend=f"{table.legend}; {change}")


def _columns(
    experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place]
) -> tuple[Column, ...]:
    """Make a column of each method; rows say what they hold."""
    first = measure_of([*experiment.metrics, experiment.metric][0])
    methods = methods_of(experiment, points, gaps)
    return tuple(Column(method, method, first, is_absolute(experiment, method)) for method in methods)


def _cells_along(
    experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place], methods: Sequence[str]
) -> dict[Any, dict[tuple[str, str], Cell | None]]:
    """Find the cell of each method and metric at each value of the axis, by size; where no run is, why."""
    series = {
        (one.method, metric): one.cells
        for metric in experiment.metrics
        for one in series_of(experiment, points, metric)
    }
    lacking = {
        m: [(gap.at[str(experiment.x)], gap) for gap in own] for m, own in gaps_of_methods(gaps).items()
    }
    places = {place for cells in series.values() for place in cells}
    places |= {place for own in lacking.values() for place, _ in own}
    found: dict[Any, dict[tuple[str, str], Cell | None]] = {}
    for place in sorted(places, key=natural):
        found[place] = {}
        for method in methods:
            absent = missing_cell(gap for at, gap in lacking.get(method, []) if at == place)
            for metric in experiment.metrics:
                found[place][method, metric] = series.get((method, metric), {}).get(place, absent)
    return found


def _table(
    points: Sequence[Point],
    names: tuple[str, str],
    fields: tuple[str, str],
    columns: tuple[Column, ...],
    lines: Sequence[Line],
) -> Table:
    """Lay out lines that hold several measures, or columns that do."""
    held = list(dict.fromkeys(line.measure_in(column) for line in lines for column in columns))
    rows, ranking = mark_best(lines, contests_of_rows(lines, columns))
    if len({column.measure for column in columns}) > 1:  # each column says its own
        columns = tuple(replace(c, label=f"{c.label}, {c.measure.unit}") for c in columns)
    tasks = _tasks(points)
    title = f"{tasks}: {', '.join(measure.label for measure in held)}" if held else tasks
    table = with_uncertainty(Table(title, columns, rows, "", names, fields, ranking))
    alone = bool(held) and all(measure.per_encoder for measure in held)
    what = _ALONE if alone else _OVER
    if len(held) == 1:
        what = f"{held[0].unit}, {what}"
    own = [column.method for column in columns if column.own]
    if own and not alone:
        what = f"{what} ({', '.join(own)}: each with itself)"
    return replace(table, legend=seeds_legend(table, what))


def _tasks(points: Sequence[Point]) -> str:
    return ", ".join(dict.fromkeys(point.record.task for point in points)) or "no records"
