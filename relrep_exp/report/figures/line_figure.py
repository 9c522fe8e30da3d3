"""One line per method: metrics along an axis (the paper's Figures 3, 4), accuracy over rescaled inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, arrow, blank_figure, marked_lines
from relrep_exp.report.tables.points import (
    Series,
    base_points,
    by_seed,
    of_methods,
    score,
    series_of,
    values_of,
)
from relrep_exp.report.tables.table import RESCALED, Measure, cell_of, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

_AXES = {"anchors.m": "number of anchors m", "aligner.support": "support samples K"}
_SUPPORT = "aligner.support"
_POINTS_PER_DIMENSION = (5, 15)  # the paper's "moderate support set", section 7
_FLAT = {"color": "0.25", "linestyle": (0, (6, 2)), "linewidth": 1.0}  # no method along the axis is grey
_ROOM = 0.065  # of the axis, that a slanted number takes
_COLUMNS = ("metric", "x", "method", "mean", "std", "n")
_RESCALED_COLUMNS = ("factor", "method", "mean", "std", "n")


def lines_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """One panel for each of `experiment.metrics`, one line per method along `experiment.x`.

    A line is the mean over the seeds of the off-diagonal mean (of `absolute`: the matching one), its band the
    std. A method that does not depend on the axis is a horizontal line, and its number has no x.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    panels = {metric: series_of(experiment, points, metric) for metric in experiment.metrics}
    first = panels[experiment.metrics[0]]
    along = [one.method for one in first if not one.flat]
    styles = dict(zip(along, marked_lines(len(along)), strict=True))
    styles |= {one.method: _FLAT for one in first if one.flat}
    rows: list[tuple[Any, ...]] = []
    with rc_context(RC):
        figure = blank_figure(max(4.2, 3.1 * len(panels)), 3.4)
        figure.suptitle(experiment.title, fontsize=10)
        shade = _moderate_support(points) if experiment.x == _SUPPORT else None
        for number, (metric, series) in enumerate(panels.items(), 1):
            panel = figure.add_subplot(1, len(panels), number)
            _label(panel, measure_of(metric), str(experiment.x))
            _scale(panel, values_of(series))
            if is_wide([cell.mean for one in series for cell in one.cells.values() if cell]):
                panel.set_yscale("log")
                panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if shade:
                panel.axvspan(*shade[0], color="0.92", linewidth=0, zorder=0)
            for one in series:
                rows += _draw(panel, one, measure_of(metric), styles[one.method])
        _legend(figure, styles, shade)
    return Drawing(figure, _COLUMNS, rows)


def _label(panel: Axes, measure: Measure, x: str) -> None:
    panel.set(title=f"{measure.unit}{arrow(measure.better)}", xlabel=_AXES.get(x, x))
    panel.grid(axis="y", color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)


def _scale(panel: Axes, values: Sequence[Any]) -> None:
    """Numbers stand where they are, logarithmically if they span more than a decade; names side by side."""
    if is_wide(values):
        panel.set_xscale("log")
    if all(isinstance(value, int | float) for value in values):
        panel.xaxis.set_major_locator(FixedLocator(values))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticks(values, tick_labels(values), rotation=45, ha="right")


def tick_labels(values: Sequence[float]) -> list[str]:
    """The values on the axis that `_scale` makes; empty where one would be written over its neighbour's."""
    wide = is_wide(values)
    places = [math.log(value) if wide else float(value) for value in values]
    room, last = _ROOM * (max(places, default=0.0) - min(places, default=0.0)), -math.inf
    labels = []
    for place, value in zip(places, values, strict=True):
        shown = place - last >= room
        last = place if shown else last
        labels.append(f"{value:g}" if shown else "")
    return labels


def is_wide(values: Sequence[Any]) -> bool:
    """Whether these are positive numbers that span more than a decade."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and len(values) > 1 and min(values) > 0 and max(values) > 10 * min(values)


def _draw(panel: Axes, series: Series, measure: Measure, style: dict[str, Any]) -> list[tuple[Any, ...]]:
    """One line with its band; the numbers of it."""
    found = [(x, cell) for x, cell in series.cells.items() if cell]
    if not found:
        return []
    factor = 100 if measure.percent else 1
    spreads = [0.0 if math.isnan(cell.std) else factor * cell.std for _, cell in found]
    means = [factor * cell.mean for _, cell in found]
    if series.flat:
        cell = found[0][1]
        panel.axhline(means[0], **style)
        panel.axhspan(means[0] - spreads[0], means[0] + spreads[0], color="0.25", alpha=0.12, linewidth=0)
        return [(measure.name, "", series.method, cell.mean, cell.std, cell.n)]
    xs = [x if isinstance(x, int | float) else str(x) for x, _ in found]
    panel.plot(xs, means, **style)
    low, high = ([m + s * d for m, d in zip(means, spreads, strict=True)] for s in (-1, 1))
    panel.fill_between(xs, low, high, color=style["color"], alpha=0.15, linewidth=0)
    return [(measure.name, x, series.method, cell.mean, cell.std, cell.n) for x, cell in found]


def _moderate_support(points: Sequence[Point]) -> tuple[tuple[float, float], str] | None:
    """From where to where there are 5 to 15 support samples per embedding dimension, and what to call it."""
    dims = {name: d for point in base_points(points) for name, d in dims_of(point.record).items()}
    if not dims:
        return None
    d = fmean(dims.values())
    low, high = _POINTS_PER_DIMENSION
    return (low * d, high * d), f"{low} to {high} samples per dimension (d = {d:.0f} on average)"


def dims_of(record: Record) -> dict[str, int]:
    """The dimension of every encoder's embeddings, where the record has it."""
    fits = [fit for part in record.diagnostics.values() if isinstance(part, dict) for fit in part.values()]
    return {name: d for fit in fits if isinstance(fit, dict) for name, d in fit.get("dims", {}).items()}


def _legend(figure: Figure, styles: dict[str, dict[str, Any]], shade: tuple[Any, str] | None) -> None:
    handles: list[Any] = [Line2D([], [], label=method, **style) for method, style in styles.items()]
    if shade:
        handles.append(Patch(color="0.92", label=shade[1]))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), handlelength=3.2)


def rescaling_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A line is the mean over encoders and seeds, its band the std over seeds; the dotted line is factor 1.

    Raises:
        UserError: no run has rescaled inputs.
        ValueError: the runs differ in more than method and seed.
    """
    found = {m: list(by_seed(own).values()) for m, own in of_methods(base_points(points)).items()}
    rows = [row for method, records in found.items() for row in _rescaled_rows(method, records)]
    if not rows:
        raise user_error("no run has rescaled inputs", "run task=rescaling")
    with rc_context(RC):
        figure = blank_figure(5.2, 3.6)
        panel = figure.add_subplot()
        panel.set(xscale="log", xlabel="inputs multiplied by", ylabel="accuracy in %", title=experiment.title)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"{factor:g}"))
        panel.axvline(1, color="0.6", linestyle=":", linewidth=0.8)
        panel.grid(axis="y", color="0.92", linewidth=0.6)
        for method, style in zip(found, marked_lines(len(found)), strict=True):
            own = np.array([row[:1] + row[2:4] for row in rows if row[1] == method], dtype=float)
            spread = np.nan_to_num(own[:, 2])
            panel.plot(own[:, 0], 100 * own[:, 1], label=method, **style)
            low, high = (100 * (own[:, 1] + sign * spread) for sign in (-1, 1))
            panel.fill_between(own[:, 0], low, high, color=style["color"], alpha=0.15, linewidth=0)
        figure.legend(loc="outside lower center", ncols=len(found), title="activation of the hidden layer")
    return Drawing(figure, _RESCALED_COLUMNS, rows)


def _rescaled_rows(method: str, records: Sequence[Record]) -> list[tuple[Any, ...]]:
    """Factor, method, mean, std and number of seeds; factors by size."""
    metrics = {row.metric for record in records for row in record.rows if row.metric.startswith(RESCALED)}
    factors = {float(metric.removeprefix(RESCALED)): metric for metric in metrics}
    found = []
    for factor in sorted(factors):
        values = [value for r in records if (value := score(r, factors[factor])) is not None]
        if cell := cell_of(values):
            found.append((factor, method, cell.mean, cell.std, cell.n))
    return found
