"""How well each method reads a new encoder against the time that it takes to let it in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, arrow, blank_figure, marked_lines
from relrep_exp.report.tables.points import is_absolute, series_of, values_of
from relrep_exp.report.tables.table import JOIN, Cell, Measure, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

_COLUMNS = ("x", "metric", "method", "mean", "std", "n", "join_seconds")
_CEILING = {"color": "0.25", "linestyle": (0, (6, 2)), "linewidth": 1.0}
_AXES = {"aligner.support": "K"}

Cells = Mapping[Any, Cell | None]


def tradeoff_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A row of panels for each value of `experiment.x`, a panel for each metric that ranks, a marker each.

    Bars are the std over seeds. A method that reads nothing but its own encoder is a horizontal line.

    Raises:
        UserError: no record says how long joining took.
        ValueError: the runs differ in more than method, seed and the axis.
    """
    joined = {one.method: one.cells for one in series_of(experiment, points, JOIN)}
    if not any(cell for cells in joined.values() for cell in cells.values()):
        raise user_error("no record says how long joining took", "run again with overwrite=always")
    measures = [measure for m in experiment.metrics if (measure := measure_of(m)).better]
    places = values_of(series_of(experiment, points, experiment.metrics[0]))
    styles = dict(zip(joined, marked_lines(len(joined)), strict=True))
    styles |= {method: _CEILING for method in joined if is_absolute(experiment, method)}
    rows: list[tuple[Any, ...]] = []
    with rc_context(RC):
        figure = blank_figure(4.2 * len(measures), 2.7 * len(places) + 1.1)
        figure.suptitle(experiment.title, fontsize=10)
        for row, place in enumerate(places):
            for column, measure in enumerate(measures):
                number = row * len(measures) + column + 1
                first = figure.axes[0] if figure.axes else None
                panel = figure.add_subplot(len(places), len(measures), number, sharex=first)
                panel.set_title(f"{measure.unit}{arrow(measure.better)}, {_said(experiment, place)}")
                _frame(panel, last=row + 1 == len(places))
                for one in series_of(experiment, points, measure.name):
                    cells = (one.cells.get(place), joined[one.method].get(place))
                    rows += _draw(panel, place, one.method, measure, cells, styles[one.method])
        handles = [Line2D([], [], label=method, **_mark(style)) for method, style in styles.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return Drawing(figure, _COLUMNS, rows)


def _said(experiment: ExperimentConfig, place: Any) -> str:
    return f"{_AXES.get(str(experiment.x), experiment.x)} = {place}"


def _frame(panel: Axes, last: bool) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{1000 * seconds:g} ms"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    if last:
        panel.set_xlabel("time to join a new encoder")


def _mark(style: dict[str, Any]) -> dict[str, Any]:
    """A marker without its line; what has none is a line."""
    return {**style, "linestyle": ""} if "marker" in style else style


def _draw(
    panel: Axes,
    place: Any,
    method: str,
    measure: Measure,
    cells: tuple[Cell | None, Cell | None],
    style: dict[str, Any],
) -> list[tuple[Any, ...]]:
    """One marker, or the line of what joins nothing; the numbers of it."""
    cell, join = cells
    if cell is None:
        return []
    factor = 100 if measure.percent else 1
    if join is None:
        panel.axhline(factor * cell.mean, **style)
    else:
        spread = None if math.isnan(cell.std) else factor * cell.std
        panel.errorbar(join.mean, factor * cell.mean, spread, elinewidth=0.8, **_mark(style))
    numbers = (cell.mean, cell.std, cell.n, "" if join is None else join.mean)
    return [(place, measure.name, method, *numbers)]
