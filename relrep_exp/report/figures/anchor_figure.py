"""What an anchor is: the images that it mixes, those nearest to it, and how many images carry an anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import FuncFormatter, NullLocator

from relrep_exp.errors import user_error
from relrep_exp.report.figures.style import RC, Drawing, blank_figure, hues, pixels
from relrep_exp.report.tables.points import base_points, of_methods, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

    Array = np.ndarray[Any, Any]
    View = dict[str, Any]

_SHOWN = 6  # thumbnails of each part of a row; a view has no more
_COLUMNS = ("what", "method", "anchor", "rank", "training_sample", "value")


def anchors_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """A row for each anchor in view of the first method; every method's effective number of support points.

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
    with rc_context(RC):
        figure = blank_figure(10.0, 0.86 * len(view["anchors"]) + 3.0)
        figure.suptitle(experiment.title, fontsize=10)
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(0.86 * len(view["anchors"]) + 0.5, 2.1))
        _draw_anchors(parts[0, 0], method, view)
        _draw_effective(parts[1, 0], views)
    return Drawing(figure, _COLUMNS, [*_anchor_rows(method, view), *_effective_rows(views)])


def _anchor_rows(method: str, view: View) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for number, anchor in enumerate(view["anchors"]):
        weighted = zip(anchor["support"], anchor["weights"], strict=True)
        rows += [("weight", method, number, rank, row, w) for rank, (row, w) in enumerate(weighted)]
        rows += [("nearest", method, number, rank, row, "") for rank, row in enumerate(anchor["nearest"])]
    return rows


def _effective_rows(views: Mapping[str, View]) -> list[tuple[Any, ...]]:
    return [
        ("effective_points", method, number, "", "", value)
        for method, view in views.items()
        for number, value in enumerate(view["effective_points"])
    ]


def _draw_anchors(figure: SubFigure, method: str, view: View) -> None:
    """Columns: the support samples with the largest weights, the mixture, the nearest training samples."""
    rows = len(view["anchors"])
    gap = 0.35
    widths = [*[1.0] * _SHOWN, gap, 1.0, gap, *[1.0] * _SHOWN]
    grid = figure.subplots(rows, len(widths), width_ratios=widths, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, anchor in enumerate(view["anchors"]):
        line = grid[number]
        images = unpacked(anchor["support_images"], view["size"])
        for axes, image, weight in zip(line, images, anchor["weights"], strict=False):
            _show(axes, image, f"{100 * weight:.1f} %")
        _show(line[_SHOWN + 1], unpacked(anchor["mixture"], view["size"])[0])
        for axes, image in zip(
            line[_SHOWN + 3 :], unpacked(anchor["nearest_images"], view["size"]), strict=False
        ):
            _show(axes, image)
        effective = view["effective_points"][number]
        line[0].text(
            -0.25,
            0.5,
            f"anchor {number}\n{effective:.0f} points",
            ha="right",
            va="center",
            transform=line[0].transAxes,
            fontsize=8,
        )
    what = f"{method}, chosen without {view['target']}"
    grid[0][_SHOWN // 2].set_title(f"largest weights in P ({what})", fontsize=8.5, x=0.0)
    grid[0][_SHOWN + 1].set_title("mixture", fontsize=8.5)
    grid[0][_SHOWN + 3 + _SHOWN // 2].set_title(
        f"nearest in {view['source']}'s whitened space", fontsize=8.5, x=0.0
    )


def _show(axes: Axes, image: Array, below: str = "") -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.text(0.5, -0.06, below, ha="center", va="top", transform=axes.transAxes, fontsize=7)


def _draw_effective(figure: Figure | SubFigure, views: Mapping[str, View]) -> None:
    """A box of each method's anchors over their points, on a logarithmic axis."""
    axes = figure.subplots()
    names = list(views)
    values = [views[name]["effective_points"] for name in names]
    axes.boxplot(
        values,
        orientation="horizontal",
        widths=0.55,
        showfliers=False,
        medianprops={"color": "black", "linewidth": 1.4},
        whis=(0, 100),
    )
    for place, (own, hue) in enumerate(zip(values, hues(len(names)), strict=True), 1):
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else [0.0]
        axes.scatter(own, place + np.asarray(spread), s=7, color=hue, alpha=0.5, linewidths=0, zorder=3)
    axes.set_yticks(range(1, len(names) + 1), names)
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


def unpacked(png: str, size: Sequence[int]) -> list[Array]:
    """The images of a strip, PNG in base64, each `size` = [width, height]: uint8, [h, w] or [h, w, 3]."""
    joined = pixels(png)
    return np.split(joined, joined.shape[1] // size[0], axis=1)
