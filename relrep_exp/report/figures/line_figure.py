"""Draw methods along an axis (the paper's Figures 3, 4), over rescaled inputs, and over the time to join."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, Rows, arrow, blank_figure, is_wide, marked_lines
from relrep_exp.report.tables.measures import JOIN, RESCALED, Measure, measure_of
from relrep_exp.report.tables.points import (
    Series,
    base_points,
    is_absolute,
    mean_cell,
    runs_of_methods,
    series_of,
    values_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

_AXES = {"anchors.m": "number of anchors m", "aligner.support": "support samples K"}
_SUPPORT = "aligner.support"
_POINTS_PER_DIMENSION = (5, 15)  # the paper's "moderate support set", section 7
_FLAT = {"color": "0.25", "linestyle": (0, (6, 2)), "linewidth": 1.0}  # no method along the axis is grey
_ROOM = 0.065  # of the axis, that a slanted number takes


def lines_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw one panel for each of `experiment.metrics`, one line per method along `experiment.x`.

    A line is the mean over the seeds of the off-diagonal mean (of `absolute`: the matching one), its band the
    std. A method that does not depend on the axis is a horizontal line, and its number has no x.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    x = str(experiment.x)
    panels = {metric: series_of(experiment, points, metric) for metric in experiment.metrics}
    first = panels[experiment.metrics[0]]
    along = [one.method for one in first if not one.flat]
    styles = dict(zip(along, marked_lines(len(along)), strict=True))
    styles |= {one.method: _FLAT for one in first if one.flat}
    rows: Rows = []
    with rc_context(RC):
        figure = blank_figure(max(4.2, 3.1 * len(panels)), 3.4)
        figure.suptitle(experiment.title, fontsize=10)
        handles: list[Any] = [Line2D([], [], label=method, **style) for method, style in styles.items()]
        support = _moderate_support(points) if x == _SUPPORT else None
        if support:
            low, high, said = support
            handles.append(Patch(color="0.92", label=said))
        for number, (metric, series) in enumerate(panels.items(), 1):
            panel, measure = figure.add_subplot(1, len(panels), number), measure_of(metric)
            panel.set(title=f"{measure.unit}{arrow(measure.better)}", xlabel=_AXES.get(x, x))
            panel.grid(axis="y", color="0.92", linewidth=0.6)
            panel.set_axisbelow(True)
            _scale(panel, values_of(series))
            if is_wide([cell.mean for one in series for cell in one.cells.values() if cell]):
                panel.set_yscale("log")
                panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if support:
                panel.axvspan(low, high, color="0.92", linewidth=0, zorder=0)
            for one in series:
                rows += _draw_line(panel, one, measure, styles[one.method])
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 5), handlelength=3.2
        )
    return Drawing(figure, ("metric", "x", "method", "mean", "std", "n"), rows)


def _scale(panel: Axes, values: Sequence[Any]) -> None:
    """Put numbers where they are, logarithmically if they span more than a decade; names side by side.

    Every value has a tick; one that would be written over its neighbour's stands without its number.
    """
    wide = is_wide(values)
    if wide:
        panel.set_xscale("log")
    if not all(isinstance(value, int | float) for value in values):
        return
    places = [math.log(value) if wide else float(value) for value in values]
    room, last = _ROOM * (max(places, default=0.0) - min(places, default=0.0)), -math.inf
    labels = []
    for place, value in zip(places, values, strict=True):
        shown = place - last >= room
        last = place if shown else last
        labels.append(f"{value:g}" if shown else "")
    panel.xaxis.set_major_locator(FixedLocator(values))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(values, labels, rotation=45, ha="right")


def _draw_line(panel: Axes, series: Series, measure: Measure, style: dict[str, Any]) -> Rows:
    """Draw one line with its band; return the numbers of it."""
    found = [(x, cell) for x, cell in series.cells.items() if cell]
    if not found:
        return []
    means = [measure.factor * cell.mean for _, cell in found]
    spreads = [0.0 if math.isnan(cell.std) else measure.factor * cell.std for _, cell in found]
    if series.flat:
        found = [("", found[0][1])]
        panel.axhline(means[0], **style)
        panel.axhspan(means[0] - spreads[0], means[0] + spreads[0], color="0.25", alpha=0.12, linewidth=0)
    else:
        xs = [x if isinstance(x, int | float) else str(x) for x, _ in found]
        panel.plot(xs, means, **style)
        _draw_band(panel, xs, means, spreads, style)
    return [(measure.name, x, series.method, cell.mean, cell.std, cell.n) for x, cell in found]


def _draw_band(
    panel: Axes, xs: Sequence[Any], means: Sequence[float], spreads: Sequence[float], style: dict[str, Any]
) -> None:
    low, high = ([m + sign * d for m, d in zip(means, spreads, strict=True)] for sign in (-1, 1))
    panel.fill_between(xs, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _moderate_support(points: Sequence[Point]) -> tuple[float, float, str] | None:
    """Find where there are 5 to 15 support samples per embedding dimension: from, to, and what to call it."""
    dims = {name: d for point in base_points(points) for name, d in _dims_of(point.record).items()}
    if not dims:
        return None
    d = fmean(dims.values())
    low, high = _POINTS_PER_DIMENSION
    return low * d, high * d, f"{low} to {high} samples per dimension (d = {d:.0f} on average)"


def _dims_of(record: Record) -> dict[str, int]:
    """Find the dimension of every encoder's embeddings, where the record has it."""
    fits = [fit for part in record.diagnostics.values() if isinstance(part, dict) for fit in part.values()]
    return {name: d for fit in fits if isinstance(fit, dict) for name, d in fit.get("dims", {}).items()}


def rescaling_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw accuracy over the factor: the mean over encoders and seeds, its band the std; factor 1 is dotted.

    Raises:
        UserError: no run has rescaled inputs.
        ValueError: the runs differ in more than method and seed.
    """
    found = runs_of_methods(points)
    rows: Rows = []
    for method, records in found.items():
        metrics = {row.metric for record in records for row in record.rows if row.metric.startswith(RESCALED)}
        for factor, metric in sorted((float(metric.removeprefix(RESCALED)), metric) for metric in metrics):
            if cell := mean_cell(records, metric):
                rows.append((factor, method, cell.mean, cell.std, cell.n))
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
            own = np.array([(x, 100 * mean, 100 * std) for x, m, mean, std, _ in rows if m == method])
            panel.plot(own[:, 0], own[:, 1], label=method, **style)
            _draw_band(
                panel, own[:, 0].tolist(), own[:, 1].tolist(), np.nan_to_num(own[:, 2]).tolist(), style
            )
        figure.legend(loc="outside lower center", ncols=len(found), title="activation of the hidden layer")
    return Drawing(figure, ("factor", "method", "mean", "std", "n"), rows)


def tradeoff_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw how well each method reads a new encoder against the time that it takes to let it in.

    A row of panels for each value of `experiment.x`, a panel for each metric that ranks, a marker for each
    method. Bars are the std over seeds. A method that reads nothing but its own encoder is a horizontal line.

    Raises:
        UserError: no record says how long joining took.
        ValueError: the runs differ in more than method, seed and the axis.
    """
    joined = {one.method: one.cells for one in series_of(experiment, points, JOIN)}
    if not any(cell for cells in joined.values() for cell in cells.values()):
        raise user_error("no record says how long joining took", "run again with overwrite=always")
    measures = [measure for m in experiment.metrics if (measure := measure_of(m)).better]
    panels = {measure: series_of(experiment, points, measure.name) for measure in measures}
    places = values_of(series_of(experiment, points, experiment.metrics[0]))
    styles = dict(zip(joined, marked_lines(len(joined)), strict=True))
    styles |= {method: _FLAT for method in joined if is_absolute(experiment, method)}
    x = "K" if experiment.x == _SUPPORT else experiment.x
    rows: Rows = []
    with rc_context(RC):
        figure = blank_figure(4.2 * len(measures), 2.7 * len(places) + 1.1)
        figure.suptitle(experiment.title, fontsize=10)
        for row, place in enumerate(places):
            for column, (measure, series) in enumerate(panels.items()):
                first = figure.axes[0] if figure.axes else None
                number = row * len(measures) + column + 1
                panel = figure.add_subplot(len(places), len(measures), number, sharex=first)
                panel.set_title(f"{measure.unit}{arrow(measure.better)}, {x} = {place}")
                panel.set_xscale("log")
                panel.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{1000 * seconds:g} ms"))
                panel.xaxis.set_minor_formatter(NullFormatter())
                panel.grid(color="0.92", linewidth=0.6)
                panel.set_axisbelow(True)
                if row + 1 == len(places):
                    panel.set_xlabel("time to join a new encoder")
                for one in series:
                    cell, join = one.cells.get(place), joined[one.method].get(place)
                    if cell is None:
                        continue
                    mean, style = measure.factor * cell.mean, styles[one.method]
                    if join is None:
                        panel.axhline(mean, **style)
                    else:
                        spread = None if math.isnan(cell.std) else measure.factor * cell.std
                        panel.errorbar(join.mean, mean, spread, elinewidth=0.8, **_mark(style))
                    seconds = "" if join is None else join.mean
                    rows.append((place, measure.name, one.method, cell.mean, cell.std, cell.n, seconds))
        handles = [Line2D([], [], label=method, **_mark(style)) for method, style in styles.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return Drawing(figure, ("x", "metric", "method", "mean", "std", "n", "join_seconds"), rows)


def _mark(style: dict[str, Any]) -> dict[str, Any]:
    """Take a marker's line away; what has no marker stays a line."""
    return {**style, "linestyle": ""} if "marker" in style else style
