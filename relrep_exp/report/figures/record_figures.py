"""Draw samples in a shared plane, and a run's pairs as a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.lines import Line2D

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, Rows, blank_figure, hues
from relrep_exp.report.tables.measures import measure_of
from relrep_exp.report.tables.pair_tables import comparison, named_records
from relrep_exp.report.tables.points import base_points, is_absolute, natural, view_of
from relrep_exp.report.tables.run_table import OFF_DIAGONAL, Pair, encoder_order, headline, source_role

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

_PANELS_PER_ROW = 5
_LEGEND_CLASSES = 10


def samples_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw a few samples as two encoders see them, one panel per method (its lowest seed).

    Raises:
        UserError: no run has a view of samples.
    """
    records = named_records(base_points(points))
    known = {row.metric for record in records for row in record.rows}
    table = comparison(records, experiment.metric if experiment.metric in known else headline(records))
    shown = []
    for column in table.columns:
        own = [record for record in records if record.method == column.method]
        lowest = min(own, key=lambda record: natural(record.config.get("seed")))
        shown.append((column, view_of(lowest, "samples")))
    views = [view for _, view in shown if view]
    if not views:
        raise user_error("no record has a view of samples", "task.view_samples=60, and run again")
    classes = sorted({label for view in views for label in view["labels"]}, key=natural)
    colours = dict(zip(classes, hues(len(classes)), strict=True))
    across = [line for line in table.rows if line.closing and line.source == OFF_DIAGONAL]
    rows: Rows = []
    with rc_context(RC):
        height = math.ceil(len(shown) / _PANELS_PER_ROW)
        width = math.ceil(len(shown) / height)
        figure = blank_figure(max(3.6, 2.5 * width), 2.9 * height + 0.4)
        for number, (column, view) in enumerate(shown):
            panel = figure.add_subplot(height, width, number + 1)
            title = column.method
            if is_absolute(experiment, column.method):
                title += "\ndimensions differ: no common plane"
            elif across and (cell := across[0].cells[number]):
                unit = " %" if column.measure.percent else ""
                title += f"\noff-diagonal {column.measure.label} {column.measure.text(cell.mean)}{unit}"
            panel.set(title=title, xticks=[], yticks=[])
            panel.spines[:].set_visible(True)
            panel.spines[:].set_color("0.8")
            if view is None:
                middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": panel.transAxes}
                panel.text(0.5, 0.5, "no view in the record", color="0.4", **middle)
                continue
            _draw_view(panel, view, colours)
            for encoder, places in (("source", "native"), ("target", "carried")):
                for sample, (label, place) in enumerate(zip(view["labels"], view[places], strict=True)):
                    rows.append((column.method, view[encoder], sample, label, *place))
        if 1 < len(colours) <= _LEGEND_CLASSES:  # all are one where there are no labels
            look: dict[str, Any] = {"marker": "o", "linestyle": ""}
            handles = [Line2D([], [], color=hue, label=str(label), **look) for label, hue in colours.items()]
            narrow: dict[str, Any] = {"columnspacing": 1, "handletextpad": 0.1, "ncols": len(handles)}
            figure.legend(handles=handles, title="class", loc="outside lower center", **narrow)
    return Drawing(figure, ("method", "encoder", "sample", "label", "x", "y"), rows)


def _draw_view(panel: Axes, view: dict[str, Any], colours: dict[object, str]) -> None:
    """Draw dots as one encoder sees the samples, triangles as the other does, and what joins them."""
    own, other = np.asarray(view["native"], dtype=float), np.asarray(view["carried"], dtype=float)
    shades = [colours[label] for label in view["labels"]]
    for start, end in zip(own, other, strict=True):
        panel.plot(*zip(start, end, strict=True), color="0.7", linewidth=0.7, zorder=1)
    panel.scatter(own[:, 0], own[:, 1], s=26, c=shades, marker="o", linewidths=0, zorder=3)
    hollow: dict[str, Any] = {"facecolors": "none", "edgecolors": shades, "linewidths": 1.1}
    panel.scatter(other[:, 0], other[:, 1], s=34, marker="^", zorder=4, **hollow)
    panel.set_xlabel(f"● {view['source']}    △ {view['target']}")
    panel.margins(0.08)
    panel.set_aspect("equal", adjustable="datalim")  # a distance looks the same in both directions


def pair_matrix(record: Record, metric: str) -> Figure:
    """Draw a heat map of one metric of one run: rows the test encoders, columns their sources."""
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
            image = axes.imshow(grid * measure.factor, aspect="auto")
            axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            axes.spines[:].set_visible(False)
            figure.colorbar(image, ax=axes).outline.set_visible(False)
        finite = grid[np.isfinite(grid)]
        middle = (finite.min() + finite.max()) / 2 if finite.size else 0.0
        for (row, column), value in np.ndenumerate(grid):
            text = "-" if math.isnan(value) else measure.text(value)
            ink = "white" if math.isfinite(value) and value < middle else "black"  # what shows on the square
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    return figure
