"""Figures: samples in a shared plane, a pair matrix, loss curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, blank_figure, hues, line_styles
from relrep_exp.report.tables.pair_tables import comparison, named_records
from relrep_exp.report.tables.points import base_points, is_absolute, natural, view_of
from relrep_exp.report.tables.run_table import OFF_DIAGONAL, Pair, encoder_order, headline, source_role
from relrep_exp.report.tables.table import Table, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

_SAMPLE_COLUMNS = ("method", "encoder", "sample", "label", "x", "y")
_PANELS_PER_ROW = 5
_LEGEND_CLASSES = 10


def samples_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A few samples as two encoders see them, one panel per method (its lowest seed).

    Raises:
        UserError: no run has a view of samples.
    """
    records = named_records(base_points(points))
    known = {row.metric for record in records for row in record.rows}
    table = comparison(records, experiment.metric if experiment.metric in known else headline(records))
    shown = [_lowest_seed(records, column.method) for column in table.columns]
    views = [view_of(record, "samples") for record in shown]
    if not any(views):
        raise user_error("no record has a view of samples", "task.view_samples=60, and run again")
    classes = sorted({label for view in views if view for label in view["labels"]}, key=natural)
    colours = dict(zip(classes, hues(len(classes)), strict=True))
    with rc_context(RC):
        figure, panels = _panels(len(shown))
        for panel, record, view in zip(panels, shown, views, strict=True):
            panel.set_title(_panel_title(record.method, table, is_absolute(experiment, record.method)))
            _draw_view(panel, view, colours)
        _class_legend(figure, colours)
    return Drawing(figure, _SAMPLE_COLUMNS, _sample_rows(shown, views))


def _sample_rows(records: Sequence[Record], views: Sequence[dict[str, Any] | None]) -> list[tuple[Any, ...]]:
    """One row for each sample and encoder, with its place in the plane."""
    return [
        (record.method, view[encoder], number, label, *place)
        for record, view in zip(records, views, strict=True)
        if view
        for encoder, places in (("source", view["native"]), ("target", view["carried"]))
        for number, (label, place) in enumerate(zip(view["labels"], places, strict=True))
    ]


def pair_matrix(record: Record, metric: str) -> Figure:
    """A heat map of one metric of one run: rows the test encoders, columns their sources."""
    values: dict[Pair, float] = {
        (row.source, row.target): row.value for row in record.rows if row.metric == metric
    }
    names = encoder_order(values)
    grid = np.array([[values.get((source, target), math.nan) for source in names] for target in names])
    measure = measure_of(metric)
    with rc_context(RC):
        figure = blank_figure(2.4 + 0.75 * len(names), 1.6 + 0.6 * len(names))
        axes = figure.add_subplot()
        source = f"{source_role([record])} encoder"
        axes.set(title=f"{record.method}: {measure.unit}", xlabel=source, ylabel="test encoder")
        if names:
            image = axes.imshow(grid * 100 if measure.percent else grid, aspect="auto")
            axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            axes.spines[:].set_visible(False)
            figure.colorbar(image, ax=axes).outline.set_visible(False)
            _print_values(axes, grid, metric)
    return figure


def loss_curves(record: Record) -> Figure:
    """Each loss over the epochs, one panel per loss, one line per fit."""
    losses = list(dict.fromkeys(loss for curves in record.curves.values() for loss in curves))
    styles = dict(zip(record.curves, line_styles(len(record.curves)), strict=True))
    with rc_context(RC):
        figure, panels = _panels(len(losses))
        for panel, loss in zip(panels, losses, strict=True):
            panel.set(title=loss, xlabel="epoch")
            for fit, curves in record.curves.items():
                heights = np.asarray(curves.get(loss, []), dtype=float)
                panel.plot(np.arange(1, len(heights) + 1), heights, label=fit, **styles[fit])
        if losses:
            handles = [Line2D([], [], label=fit, **styles[fit]) for fit in styles]
            figure.legend(handles=handles, loc="outside lower center", ncols=_PANELS_PER_ROW)
        else:
            figure.suptitle(f"{record.method}: no loss curves in the record")
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows = max(1, math.ceil(count / _PANELS_PER_ROW))
    columns = max(1, math.ceil(count / rows))
    figure = blank_figure(max(3.6, 2.5 * columns), 2.9 * rows + 0.4)
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def _lowest_seed(records: Sequence[Record], method: str) -> Record:
    return min(
        (record for record in records if record.method == method),
        key=lambda r: natural(r.config.get("seed")),
    )


def _panel_title(method: str, table: Table, own: bool) -> str:
    if own:
        return f"{method}\ndimensions differ: no common plane"
    index = [column.method for column in table.columns].index(method)
    cells = [line.cells[index] for line in table.rows if line.closing and line.source == OFF_DIAGONAL]
    measure = table.columns[index].measure
    if not cells or cells[0] is None:
        return method
    unit = " %" if measure.percent else ""
    return f"{method}\noff-diagonal {measure.label} {measure.text(cells[0].mean)}{unit}"


def _draw_view(panel: Axes, view: dict[str, Any] | None, colours: dict[object, str]) -> None:
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(True)
    panel.spines[:].set_color("0.8")
    if view is None:
        panel.text(
            0.5,
            0.5,
            "no view in the record",
            ha="center",
            va="center",
            transform=panel.transAxes,
            color="0.4",
        )
        return
    own, other = np.asarray(view["native"], dtype=float), np.asarray(view["carried"], dtype=float)
    shades = [colours[label] for label in view["labels"]]
    for start, end in zip(own, other, strict=True):
        panel.plot(*zip(start, end, strict=True), color="0.7", linewidth=0.7, zorder=1)
    panel.scatter(own[:, 0], own[:, 1], s=26, c=shades, marker="o", linewidths=0, zorder=3)
    panel.scatter(
        other[:, 0],
        other[:, 1],
        s=34,
        facecolors="none",
        edgecolors=shades,
        marker="^",
        linewidths=1.1,
        zorder=4,
    )
    panel.set_xlabel(f"● {view['source']}    △ {view['target']}")
    panel.margins(0.08)
    panel.set_aspect("equal", adjustable="datalim")  # a distance looks the same in both directions


def _class_legend(figure: Figure, colours: dict[object, str]) -> None:
    if not 1 < len(colours) <= _LEGEND_CLASSES:  # all are one where there are no labels
        return
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=str(label))
        for label, colour in colours.items()
    ]
    figure.legend(
        handles=handles,
        title="class",
        loc="outside lower center",
        ncols=len(handles),
        columnspacing=1,
        handletextpad=0.1,
    )


def _print_values(axes: Axes, grid: np.ndarray[Any, Any], metric: str) -> None:
    """Each value in its square, in the ink that shows on it."""
    finite = grid[np.isfinite(grid)]
    middle = (finite.min() + finite.max()) / 2 if finite.size else 0.0
    for (row, column), value in np.ndenumerate(grid):
        dark = math.isfinite(value) and value < middle
        text = "-" if math.isnan(value) else measure_of(metric).text(value)
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)
