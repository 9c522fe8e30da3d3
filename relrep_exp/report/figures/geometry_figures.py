"""Draw the paper's Figures 1 and 2: what anchors and similarities make of a space and of deformed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from relrep_exp.report.figures.geometry_views import (
    Space,
    drawn,
    label,
    noise_in_anchors,
    part,
    spaces_of,
    value_of,
)
from relrep_exp.report.figures.style import RC, Drawing, Rows, blank_figure, hues

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.figures.geometry_views import Array
    from relrep_exp.report.tables.points import Point

_COLLINEAR = "collinear"
_COMPARED = {"cosine": ("^", 1), "wip": ("o", 0)}  # similarities of panel ii: marker, number of the hue
_UNMOVED = 5e-4  # prints as 0.000
_COLUMNS = ("panel", "encoder", "item", "cluster", "x", "y", "value")
_MARKERS = "osD^vPX<>h"
_SIGNS = {  # of a deformation: how it is told, and where it does nothing
    "rotation": ("{:g}°", 0),
    "condition": ("{:g}:1", 1),
    "scale": ("×{:g}", 1),
    "translation": ("+{:g}", 0),
    "noise": ("±{:g}", 0),
}


def spaces_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw Figure 2: a space and its deformed versions, their RR under each method with the cosine between.

    Args:
        experiment: its title.
        points: runs of the geometry task with two anchors; the first of each method is drawn.

    Raises:
        UserError: there are more coordinates than can be drawn.
    """
    methods = drawn(points)
    chosen = []
    for point in methods:
        first, *others = spaces_of(point)
        # Those that are turned, stretched and shifted all at once, or all where none is.
        deformed = [
            space
            for space in others
            if space.settings.get("rotation")
            and space.settings.get("condition", 1) > 1
            and space.settings.get("translation")
        ]
        chosen.append([first, *(deformed or others)])
    rows: Rows = []
    with rc_context(RC):
        height, width = len(chosen[0]), 1 + len(methods)
        figure = blank_figure(2.2 * width, 2.2 * height + 0.8)
        figure.suptitle(experiment.title)
        for row, space in enumerate(chosen[0]):
            axes = figure.add_subplot(height, width, row * width + 1)
            _scatter(axes, space.points, space.labels)
            _mark_anchors(axes, space.anchors)
            _frame(axes, space.points)
            axes.set_title(f"space: {space.encoder}\n{_told(space)}".strip())
            rows += _rows("space", space, "sample", space.points) + _rows(
                "space", space, "anchor", space.anchors
            )
        for column, (point, spaces) in enumerate(zip(methods, chosen, strict=True), 2):
            shared, original = None, spaces[0]
            for row, space in enumerate(spaces):
                cell = row * width + column
                axes = figure.add_subplot(height, width, cell, sharex=shared, sharey=shared)
                shared = shared or axes
                _scatter(axes, space.rr, space.labels)
                rows += _rows(point.method, space, "sample", space.rr)
                if row == 0:
                    axes.set_title(f"RR: {label(point)}")
                    continue
                axes.scatter(original.rr[:, 0], original.rr[:, 1], s=9, color="0.82", linewidths=0, zorder=1)
                cosine = value_of(point, "rr_cosine", original.encoder, space.encoder)
                axes.set_title(f"cosine with original {cosine:.3f}")
                rows.append((point.method, space.encoder, "cosine with original", "", "", "", cosine))
        figure.supxlabel("★ anchors   + origin   grey: RR of the original space", fontsize=8)
    return Drawing(figure, _COLUMNS, rows)


def invariances_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Draw Figure 1: collinear anchors, noise near the origin, and what each similarity is invariant to.

    Args:
        experiment: its title.
        points: runs of the geometry task with two anchors. Pictures are of the first of each method; the
            numbers of iii) are means over all, and ii) has the anchors of all.

    Raises:
        UserError: there are more coordinates than can be drawn.
    """
    usual = [point for point in points if part(point, "anchors") != _COLLINEAR] or list(points)
    rows: Rows = []
    with rc_context(RC):
        figure = blank_figure(10.6, 7.4)
        figure.suptitle(experiment.title)
        (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False)
        _draw_collapse(upper.subplots(1, 3), drawn(points), rows)
        panels = lower.subplots(1, 3, width_ratios=(0.8, 1.0, 1.25))
        _draw_turns(panels[0], usual, rows)
        _draw_shifts(panels[1], usual, rows)
        _draw_invariances(panels[2], usual, rows)
    return Drawing(figure, _COLUMNS, rows)


def _draw_collapse(panels: Sequence[Axes], methods: Sequence[Point], rows: Rows) -> None:
    """Draw i), the same points and similarity with anchors in different directions, and on one line."""
    bad = next((point for point in methods if part(point, "anchors") == _COLLINEAR), methods[-1])
    good = next((point for point in methods if part(point, "sim") == part(bad, "sim")), methods[0])
    first, collinear = spaces_of(good)[0], spaces_of(bad)[0].anchors
    _scatter(panels[0], first.points, first.labels)
    reach = 1.3 * collinear[np.linalg.norm(collinear, axis=1).argmax()]
    panels[0].plot(*np.stack([-reach, reach]).T, color="0.4", linestyle="--", linewidth=0.9, zorder=1)
    for axes, point, marker in zip(panels[1:], (good, bad), "*X", strict=True):
        space, name = spaces_of(point)[0], f"{part(point, 'anchors')} anchors"
        _mark_anchors(panels[0], space.anchors, marker, name)
        _scatter(axes, space.rr, space.labels)
        rank = value_of(point, "effective_rank", space.encoder, space.encoder)
        axes.set_title(f"RR by {part(point, 'sim')}, {name}:\neffective rank {rank:.2f}")
        axes.set(xlabel="similarity to anchor 1", ylabel="similarity to anchor 2")
        panel = f"i {name}"
        rows += _rows(panel, space, "sample", space.rr) + _rows(panel, space, "anchor", space.anchors)
        rows.append((panel, space.encoder, "effective rank", "", "", "", rank))
    _frame(panels[0], first.points)
    panels[0].set_title("i) linearly dependent anchors\ncollapse the dimension of RR")
    panels[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, handletextpad=0.2)
    rows += _rows("i space", first, "sample", first.points)


def _draw_turns(axes: Axes, usual: Sequence[Point], rows: Rows) -> None:
    """Draw ii), the direction, all that cosine sees, of the anchors nearest to the origin and farthest."""
    noise = noise_in_anchors([point for point in usual if point.method == usual[0].method])
    circle = np.linspace(0, 2 * np.pi, 100)
    axes.plot(np.cos(circle), np.sin(circle), color="0.8", linewidth=0.8)
    for place, number in enumerate((noise.radii.argmin(), noise.radii.argmax())):
        hue, marker = ("black", "0.55")[place], "^o"[place]
        for dash, name, anchors in (("-", "clean", noise.clean), ("--", "noisy", noise.noisy)):
            x, y = (anchors[number] / np.linalg.norm(anchors[number])).tolist()
            axes.plot([0, x], [0, y], dash, color=hue, marker=marker, markevery=[1])
            item = f"direction of anchor {number + 1}, {name}"
            rows.append(("ii directions", noise.encoder, item, "", x, y, ""))
        distance, turn = float(noise.radii[number]), float(noise.turns[number])
        text = f"distance {distance:.2f}: turned by {turn:.0f}°"
        axes.text(-1.25, 1.3 - 0.2 * place, text, color=hue, fontsize=8)
        rows.append(("ii turns", noise.encoder, f"anchor {number + 1}", "", distance, "", turn))
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.2, 1.5), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_title(f"ii) directions of two anchors\nwithout and with noise ±{noise.std:g}")


def _draw_shifts(axes: Axes, usual: Sequence[Point], rows: Rows) -> None:
    """Draw ii), how far noise moves an anchor's column of RR, by the anchor's distance from the origin."""
    for sim, (marker, hue) in _COMPARED.items():
        runs = [point for point in usual if part(point, "sim") == sim]
        if not runs:
            continue
        noise = noise_in_anchors([point for point in runs if point.method == runs[0].method])
        look: dict[str, Any] = {"marker": marker, "color": hues(2)[hue], "linestyle": "", "fillstyle": "none"}
        axes.plot(noise.radii, noise.shifts, label=label(runs[0]), **look)
        found = enumerate(zip(noise.radii.tolist(), noise.shifts.tolist(), strict=True), 1)
        rows += [(f"ii {sim}", noise.encoder, f"anchor {n}", "", x, y, "") for n, (x, y) in found]
    axes.set(xscale="log", yscale="log", xlabel="distance of the anchor from the origin")
    axes.set_ylabel("similarities to it move by (RR std)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
    axes.set_title("ii) cosine amplifies noise\nin anchors near the origin")
    axes.legend(loc="upper right")


def _draw_invariances(axes: Axes, usual: Sequence[Point], rows: Rows) -> None:
    """Draw iii), nMSE between RR of the original and of each deformed space, mean over the runs of a method.

    A square is darker the more RR moves.
    """
    methods = drawn(usual)
    first, *others = spaces_of(methods[0])
    for x, point in enumerate(methods):
        runs = [one for one in usual if one.method == point.method]
        for y, other in enumerate(others):
            value = float(np.mean([value_of(one, "nmse", first.encoder, other.encoder) for one in runs]))
            rows.append((f"iii {point.method}", other.encoder, "nmse", "", "", "", value))
            unmoved = value < _UNMOVED
            shade = 1 - 0.75 * min(1.0, value) ** 0.5
            axes.fill_between([x - 0.48, x + 0.48], y - 0.48, y + 0.48, color=str(shade), linewidth=0)
            ink: dict[str, Any] = {"color": "black" if shade > 0.55 else "white"}
            ink |= {"weight": "bold" if unmoved else "normal"}
            axes.text(x, y, "0" if unmoved else f"{value:.3f}", ha="center", va="center", **ink)
    axes.set_xticks(range(len(methods)), [label(point).replace(", ", "\n") for point in methods])
    axes.set_yticks(range(len(others)), [f"{other.encoder}\n{_told(other)}".strip() for other in others])
    axes.set(xlim=(-0.5, len(methods) - 0.5), ylim=(len(others) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("iii) nMSE between RR of the original\nand of a deformed space; 0: invariant")


def _scatter(axes: Axes, points: Array, labels: Sequence[int]) -> None:
    """Draw dots [n, 2], clusters told apart by hue and by shape."""
    shades = hues(len(_MARKERS))
    for cluster in sorted(set(labels)):
        own, look = points[np.asarray(labels) == cluster], cluster % len(_MARKERS)
        axes.scatter(
            own[:, 0], own[:, 1], s=13, marker=_MARKERS[look], color=shades[look], linewidths=0, zorder=3
        )


def _mark_anchors(axes: Axes, anchors: Array, marker: str = "*", name: str | None = None) -> None:
    """Draw anchors [m, 2] as large black marks."""
    look: dict[str, Any] = {"marker": marker, "color": "black", "edgecolors": "white", "linewidths": 0.8}
    axes.scatter(anchors[:, 0], anchors[:, 1], s=95, zorder=5, label=name, **look)


def _frame(axes: Axes, points: Array) -> None:
    """Mark the origin; hold it and points [n, 2], with the same scale in both directions."""
    axes.plot(0, 0, "+", color="0.2", markersize=10, zorder=4)
    low, high = np.minimum(points.min(0), 0), np.maximum(points.max(0), 0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_aspect("equal")


def _rows(panel: str, space: Space, item: str, places: Array) -> Rows:
    """List the CSV's rows of an encoder's samples, from 0, or anchors, from 1, drawn at places [n, 2]."""
    clusters = space.labels if item == "sample" else [""] * len(places)
    found = enumerate(zip(places.tolist(), clusters, strict=True), start=int(item == "anchor"))
    return [(panel, space.encoder, f"{item} {n}", cluster, x, y, "") for n, ((x, y), cluster) in found]


def _told(space: Space) -> str:
    """Tell what a deformation does, in a few signs."""
    found = {name: space.settings.get(name, idle) for name, (_, idle) in _SIGNS.items()}
    return ", ".join(sign.format(found[name]) for name, (sign, idle) in _SIGNS.items() if found[name] != idle)
