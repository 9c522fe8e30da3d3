"""Tables of an experiment's means: by metric (Table 4), along an axis, by method, under variations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relrep_exp.report.tables.effects import BASE, Effect, effects_of
from relrep_exp.report.tables.points import (
    base_gaps,
    base_points,
    by_method,
    by_seed,
    is_absolute,
    methods_of,
    missing_cell,
    natural,
    of_methods,
    score,
    series_of,
)
from relrep_exp.report.tables.ranking import mark_best, winners, with_best
from relrep_exp.report.tables.table import (
    JOIN,
    RANKING,
    Cell,
    Column,
    Line,
    Measure,
    Table,
    cell_of,
    measure_of,
    seeds_legend,
)

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Gap, Point
    from relrep_exp.store.records import Record

_OVER = "mean over pairs of different encoders"
_ALONE = "mean over encoders, each by itself"
_TOLD = {
    JOIN: "join: seconds of one process until the decoders of all other encoders can read a new one, mean "
    "over test encoders, measured on the machine that made the record; learning anchors before is no part",
    "parallel_points": "parallel points: samples of a new encoder that must be paired with the others'",
}


def metrics_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()) -> Table:
    """One row for each of `experiment.metrics`, one column for each method (Table 4).

    Raises:
        ValueError: the runs differ in more than method and seed.
    """
    records = {m: list(by_seed(own).values()) for m, own in of_methods(base_points(points)).items()}
    lacking = by_method(base_gaps(gaps))
    methods = methods_of(experiment, points, gaps)
    measures = [measure_of(metric) for metric in experiment.metrics]
    columns = tuple(Column(m, m, measures[0], is_absolute(experiment, m)) for m in methods)
    lines = []
    for measure in measures:
        cells = tuple(
            _mean_cell(records[m], measure) if m in records else missing_cell(lacking.get(m, []))
            for m in methods
        )
        over = "encoders" if measure.per_encoder else "pairs"
        lines.append(Line(measure.unit, over, cells, measure=measure))
    return _table(points, ("metric", "mean over"), ("measure", "mean_over"), columns, lines)


def axis_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()) -> Table:
    """One row for each value of `experiment.x` and each of `experiment.metrics`, one column for each method.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    measures = [measure_of(metric) for metric in experiment.metrics]
    methods = methods_of(experiment, points, gaps)
    columns = tuple(Column(m, m, measures[0], is_absolute(experiment, m)) for m in methods)
    lacking = by_method(base_gaps(gaps))
    x = str(experiment.x)
    found = {
        (one.method, measure): one.cells
        for measure in measures
        for one in series_of(experiment, points, measure.name)
    }
    places = {place for cells in found.values() for place in cells} | {gap.at[x] for gap in base_gaps(gaps)}
    lines = []
    for place in sorted(places, key=natural):
        absent = {
            method: missing_cell(gap for gap in lacking.get(method, []) if gap.at[x] == place)
            for method in methods
        }
        for measure in measures:
            cells = tuple(found.get((m, measure), {}).get(place, absent[m]) for m in methods)
            lines.append(Line(str(place), measure.unit, cells, measure=measure))
    return _table(points, (x, "metric"), (x, "measure"), columns, lines)


def variations_table(
    experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()
) -> Table:
    """One row for each value of each varied key, one column for each method, with the difference to its base.

    The first row is the base: every method's own setting.

    Raises:
        ValueError: the runs differ in more than method, seed and one varied key.
    """
    effects = effects_of(experiment, points)
    measures = {effect.method: effect.measure for effect in effects}
    methods = methods_of(experiment, points, gaps)
    shown = {method: measures.get(method, measure_of(experiment.metric)) for method in methods}
    columns = tuple(Column(m, m, measure, is_absolute(experiment, m)) for m, measure in shown.items())
    places: dict[tuple[str, str], dict[str, Cell | None]] = {(BASE, ""): {}}
    for effect in effects:
        places.setdefault(_place(effect), {})[effect.method] = effect.cell
    for place, absent in _absent(gaps).items():
        cells = places.setdefault(place, {})
        cells |= {method: missing_cell(own) for method, own in absent.items() if cells.get(method) is None}
    for method in methods:
        places[BASE, ""].setdefault(method, missing_cell([]))
    keys = list(dict.fromkeys(key for key, _ in places))  # a value that nobody ran stands with its key
    lines = [
        Line(*place, tuple(places[place].get(column.method) for column in columns))
        for place in sorted(places, key=lambda place: keys.index(place[0]))
    ]
    table = _table(points, ("changed", "to"), ("key", "value"), columns, lines)
    change = "in brackets the mean difference to the same seeds under the method's own setting"
    return replace(table, legend=f"{table.legend}; {change}")


def _mean_cell(records: Sequence[Record], measure: Measure) -> Cell | None:
    """Mean and std over seeds of the runs that have the metric."""
    scores = {record.key: value for record in records if (value := score(record, measure.name)) is not None}
    return cell_of(list(scores.values()), list(scores))


def _absent(gaps: Sequence[Gap]) -> dict[tuple[str, str], dict[str, list[Gap]]]:
    """Place -> method -> the runs there that have no record."""
    found: dict[tuple[str, str], dict[str, list[Gap]]] = {}
    for gap in gaps:
        place = (BASE, "") if gap.varied is None else (gap.varied[0], str(gap.varied[1]))
        found.setdefault(place, {}).setdefault(gap.method, []).append(gap)
    return found


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
    alone = bool(held) and all(measure.per_encoder for measure in held)
    over = _ALONE if alone else _OVER
    what = f"{held[0].unit}, {over}" if len(held) == 1 else over
    if alone:
        return what
    own = [column.method for column in columns if column.own]
    return f"{what} ({', '.join(own)}: each with itself)" if own else what


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
        rows += _best_methods(lines, columns, own)
    measures = ", ".join(column.measure.label for column in columns)
    tasks = ", ".join(dict.fromkeys(point.record.task for point in points)) or "no records"
    ranking = RANKING.replace("per row", f"per {x}")
    table = Table(f"{tasks}: {measures}", columns, tuple(rows), "", (x, "method"), (x, "method"), ranking)
    return replace(table, legend=seeds_legend(table, _methods_legend(experiment, own)))


def _methods_legend(experiment: ExperimentConfig, own: Collection[str]) -> str:
    """What the columns hold, and what a reader would not guess."""
    alone = f" ({', '.join(sorted(own))}: each with itself)" if own else ""
    told = [_TOLD[metric] for metric in experiment.metrics if metric in _TOLD]
    return "; ".join([f"mean over pairs of different encoders{alone}", *told])


def _best_methods(lines: Sequence[Line], columns: Sequence[Column], own: Collection[str]) -> list[Line]:
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
