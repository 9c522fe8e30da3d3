"""Draw what an anchor is: the images that it mixes, those nearest to it, and how many carry an anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import FuncFormatter, NullLocator

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, Rows, blank_figure, hues, pixels
from relrep_exp.report.tables.points import base_points, of_methods, view_of

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

    View = dict[str, Any]

_SHOWN = 6  # thumbnails of each part of a row; a view has no more


def anchors_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw a row for each anchor in view of the first method, and every method's effective support points.

    Of every method the lowest seed is shown.

    Raises:
        UserError: no run has a view of anchors.
    """
    views: dict[str, View] = {}
    for method, members in of_methods(base_points(points)).items():
        lowest = min(members, key=lambda point: point.record.config["seed"])
        if view := view_of(lowest.record, "anchors"):
            views[method] = view
    if not views:
        remedy = "task.view_anchors=4 with anchors of images; texts and precomputed embeddings have none"
        raise user_error("no record has a view of anchors", remedy)
    method, view = next(iter(views.items()))
    height = 0.86 * len(view["anchors"])
    with rc_context(RC):
        figure = blank_figure(10.0, height + 3.0)
        figure.suptitle(experiment.title, fontsize=10)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(height + 0.5, 2.1))[:, 0]
        _draw_anchors(upper, method, view)
        _draw_effective(lower, views)
    rows: Rows = []
    for number, anchor in enumerate(view["anchors"]):
        weighted = enumerate(zip(anchor["support"], anchor["weights"], strict=True))
        rows += [("weight", method, number, rank, row, weight) for rank, (row, weight) in weighted]
        rows += [("nearest", method, number, rank, row, "") for rank, row in enumerate(anchor["nearest"])]
    for name, own in views.items():
        effective = enumerate(own["effective_points"])
        rows += [("effective_points", name, number, "", "", value) for number, value in effective]
    return Drawing(figure, ("what", "method", "anchor", "rank", "training_sample", "value"), rows)


def _draw_anchors(figure: SubFigure, method: str, view: View) -> None:
    """Draw columns: the support samples of the largest weights, the mixture, the nearest training samples."""
    mixture, nearest, gap = _SHOWN + 1, _SHOWN + 3, 0.35
    widths = [*[1.0] * _SHOWN, gap, 1.0, gap, *[1.0] * _SHOWN]
    grid = figure.subplots(len(view["anchors"]), len(widths), width_ratios=widths, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, anchor in enumerate(view["anchors"]):
        line = grid[number]
        for first, strip in ((0, "support_images"), (mixture, "mixture"), (nearest, "nearest_images")):
            joined = pixels(anchor[strip])
            images = np.split(joined, joined.shape[1] // view["size"][0], axis=1)
            for axes, image in zip(line[first:], images, strict=False):
                axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        for axes, weight in zip(line, anchor["weights"], strict=False):
            below: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.transAxes, "fontsize": 7}
            axes.text(0.5, -0.06, f"{100 * weight:.1f} %", **below)
        told = f"anchor {number}\n{view['effective_points'][number]:.0f} points"
        left: dict[str, Any] = {"ha": "right", "va": "center", "transform": line[0].transAxes, "fontsize": 8}
        line[0].text(-0.25, 0.5, told, **left)
    what = f"{method}, chosen without {view['target']}"
    near = f"nearest in {view['source']}'s whitened space"
    grid[0][_SHOWN // 2].set_title(f"largest weights in P ({what})", fontsize=8.5, x=0.0)
    grid[0][mixture].set_title("mixture", fontsize=8.5)
    grid[0][nearest + _SHOWN // 2].set_title(near, fontsize=8.5, x=0.0)


def _draw_effective(figure: SubFigure, views: Mapping[str, View]) -> None:
    """Draw a box of each method's anchors over their points, on a logarithmic axis."""
    axes = figure.subplots()
    values = [view["effective_points"] for view in views.values()]
    middle = {"color": "black", "linewidth": 1.4}
    look: dict[str, Any] = {"widths": 0.55, "showfliers": False, "medianprops": middle, "whis": (0, 100)}
    axes.boxplot(values, orientation="horizontal", **look)
    for place, (own, hue) in enumerate(zip(values, hues(len(values)), strict=True), 1):
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
        axes.scatter(own, place + spread, s=7, color=hue, alpha=0.5, linewidths=0, zorder=3)
    axes.set_yticks(range(1, len(views) + 1), list(views))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    support = next(iter(views.values()))["support"]
    axes.axvline(support, color="0.4", linestyle=":", linewidth=1.0)
    axes.set_xlabel(
        f"effective number of support samples of each anchor, exp of the entropy of its row of P "
        f"(dotted: all K = {support})"
    )
