"""The paper's Figures 1 and 2: what anchors and similarities make of a space and of its deformed versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from relrep_exp.report.figures import geometry_views as views
from relrep_exp.report.figures.geometry_views import Space, part, spaces_of, value_of
from relrep_exp.report.figures.style import RC, Drawing, blank_figure, hues

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.figures.geometry_views import Array
    from relrep_exp.report.tables.points import Point

_COLLINEAR = "collinear"
_COMPARED = {"cosine": ("^", 1), "wip": ("o", 0)}  # similarities of panel ii: marker, number of the hue
_UNMOVED = 5e-4  # prints as 0.000
_COLUMNS = ("panel", "encoder", "item", "cluster", "x", "y", "value")
Rows = list[tuple[Any, ...]]

_MARKERS = "osD^vPX<>h"


def spaces_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Figure 2: a space and its deformed versions, and their RR under each method with the cosine between.

    Args:
        experiment: its title.
        points: runs of the geometry task with two anchors; the first of each method is drawn.

    Raises:
        UserError: there are more coordinates than can be drawn.
    """
    methods = views.drawn(points)
    chosen = [_original_and_deformed(spaces_of(point)) for point in methods]
    rows: Rows = []
    with rc_context(RC):
        height, width = len(chosen[0]), 1 + len(methods)
        figure = blank_figure(2.2 * width, 2.2 * height + 0.8)
        figure.suptitle(experiment.title)
        for row, space in enumerate(chosen[0]):
            _draw_space(figure.add_subplot(height, width, row * width + 1), space, rows)
        for column, (point, spaces) in enumerate(zip(methods, chosen, strict=True), 2):
            shared = None
            for row, space in enumerate(spaces):
                cell = row * width + column
                axes = figure.add_subplot(height, width, cell, sharex=shared, sharey=shared)
                _draw_rr(axes, point, space, spaces[0], rows)
                shared = shared or axes
        figure.supxlabel("★ anchors   + origin   grey: RR of the original space", fontsize=8)
    return Drawing(figure, _COLUMNS, rows)


def invariances_figure(experiment: ExperimentConfig, points: Sequence[Point]) -> Drawing:
    """Figure 1: collinear anchors, noise near the origin, and what each similarity is invariant to.

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
        _draw_collapse(upper.subplots(1, 3), views.drawn(points), rows)
        panels = lower.subplots(1, 3, width_ratios=(0.8, 1.0, 1.25))
        _draw_turns(panels[0], usual, rows)
        _draw_shifts(panels[1], usual, rows)
        _draw_invariances(panels[2], usual, rows)
    return Drawing(figure, _COLUMNS, rows)


def _original_and_deformed(spaces: list[Space]) -> list[Space]:
    """The first encoder, and those that are turned, stretched and shifted, or all where none is."""
    deformed = [space for space in spaces[1:] if space.deformed]
    return [spaces[0], *(deformed or spaces[1:])]


def _draw_space(axes: Axes, space: Space, rows: Rows) -> None:
    """The points of an encoder, its anchors and its origin."""
    _scatter(axes, space.points, space.labels)
    _mark_anchors(axes, space.anchors)
    _mark_origin(axes)
    _square(axes, space.points)
    axes.set_title(f"space: {space.encoder}\n{_settings_said(space.settings)}".strip())
    rows += _sample_rows("space", space, space.points)
    rows += _anchor_rows("space", space)


def _draw_rr(axes: Axes, point: Point, space: Space, original: Space, rows: Rows) -> None:
    """Relative representations, those of the original behind them, and the cosine between both."""
    _scatter(axes, space.rr, space.labels)
    rows += _sample_rows(point.method, space, space.rr)
    if space.encoder == original.encoder:
        axes.set_title(f"RR: {views.label(point)}")
        return
    axes.scatter(original.rr[:, 0], original.rr[:, 1], s=9, color="0.82", linewidths=0, zorder=1)
    cosine = value_of(point, "rr_cosine", original.encoder, space.encoder)
    axes.set_title(f"cosine with original {cosine:.3f}")
    rows.append(_number_row(point.method, space.encoder, "cosine with original", cosine))


def _draw_collapse(panels: Sequence[Axes], methods: Sequence[Point], rows: Rows) -> None:
    """i) The same points under the same similarity with anchors in different directions, and on one line."""
    bad = next((point for point in methods if part(point, "anchors") == _COLLINEAR), methods[-1])
    good = next((point for point in methods if part(point, "sim") == part(bad, "sim")), methods[0])
    first = spaces_of(good)[0]
    _scatter(panels[0], first.points, first.labels)
    _mark_origin(panels[0])
    _mark_line(panels[0], spaces_of(bad)[0].anchors)
    for axes, point, marker in zip(panels[1:], (good, bad), "*X", strict=True):
        space, name = spaces_of(point)[0], f"{part(point, 'anchors')} anchors"
        _mark_anchors(panels[0], space.anchors, marker, name)
        _scatter(axes, space.rr, space.labels)
        rank = value_of(point, "effective_rank", space.encoder, space.encoder)
        axes.set_title(f"RR by {part(point, 'sim')}, {name}:\neffective rank {rank:.2f}")
        axes.set(xlabel="similarity to anchor 1", ylabel="similarity to anchor 2")
        rows += _sample_rows(f"i {name}", space, space.rr) + _anchor_rows(f"i {name}", space)
        rows.append(_number_row(f"i {name}", space.encoder, "effective rank", rank))
    _square(panels[0], first.points)
    panels[0].set_title("i) linearly dependent anchors\ncollapse the dimension of RR")
    panels[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, handletextpad=0.2)
    rows += _sample_rows("i space", first, first.points)


def _draw_turns(axes: Axes, usual: Sequence[Point], rows: Rows) -> None:
    """ii) The direction, which is all that cosine sees, of the anchors nearest to the origin and farthest."""
    noise = views.noise_in_anchors([point for point in usual if point.method == usual[0].method])
    circle = np.linspace(0, 2 * np.pi, 100)
    axes.plot(np.cos(circle), np.sin(circle), color="0.8", linewidth=0.8)
    for place, number in enumerate((noise.radii.argmin(), noise.radii.argmax())):
        hue, marker = ("black", "0.55")[place], "^o"[place]
        for dash, name, ends in (("-", "clean", noise.clean), ("--", "noisy", noise.noisy)):
            x, y = (ends[number] / np.linalg.norm(ends[number])).tolist()
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
    """ii) How far noise moves an anchor's column of RR, by the anchor's distance from the origin."""
    for sim, (marker, hue) in _COMPARED.items():
        runs = [point for point in usual if part(point, "sim") == sim]
        if not runs:
            continue
        noise = views.noise_in_anchors([point for point in runs if point.method == runs[0].method])
        look: dict[str, Any] = {"marker": marker, "color": hues(2)[hue], "linestyle": "", "fillstyle": "none"}
        axes.plot(noise.radii, noise.shifts, label=views.label(runs[0]), **look)
        drawn = enumerate(zip(noise.radii.tolist(), noise.shifts.tolist(), strict=True), 1)
        rows += [(f"ii {sim}", noise.encoder, f"anchor {n}", "", x, y, "") for n, (x, y) in drawn]
    axes.set(xscale="log", yscale="log", xlabel="distance of the anchor from the origin")
    axes.set_ylabel("similarities to it move by (RR std)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
    axes.set_title("ii) cosine amplifies noise\nin anchors near the origin")
    axes.legend(loc="upper right")


def _draw_invariances(axes: Axes, usual: Sequence[Point], rows: Rows) -> None:
    """iii) nMSE between RR of the original and of each deformed space, mean over the runs of a method."""
    methods = views.drawn(usual)
    first, *others = spaces_of(methods[0])
    for column, point in enumerate(methods):
        for row, other in enumerate(others):
            value = views.mean_value(usual, point.method, "nmse", first.encoder, other.encoder)
            _draw_cell(axes, column, row, value)
            rows.append(_number_row(f"iii {point.method}", other.encoder, "nmse", value))
    names = [views.label(point).replace(", ", "\n") for point in methods]
    axes.set_xticks(range(len(methods)), names)
    axes.set_yticks(
        range(len(others)), [f"{it.encoder}\n{_settings_said(it.settings)}".strip() for it in others]
    )
    axes.set(xlim=(-0.5, len(methods) - 0.5), ylim=(len(others) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("iii) nMSE between RR of the original\nand of a deformed space; 0: invariant")


def _draw_cell(axes: Axes, column: int, row: int, value: float) -> None:
    """A square that is darker the more RR moves."""
    unmoved = value < _UNMOVED
    shade = 1 - 0.75 * min(1.0, value) ** 0.5
    axes.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=str(shade), linewidth=0)
    axes.text(column, row, "0" if unmoved else f"{value:.3f}", ha="center", va="center",
              color="black" if shade > 0.55 else "white", weight="bold" if unmoved else "normal")  # fmt: skip


def _scatter(axes: Axes, points: Array, labels: Sequence[int]) -> None:
    """Dots [n, 2], clusters told apart by hue and by shape."""
    shades = hues(len(_MARKERS))
    for label in sorted(set(labels)):
        own = points[np.asarray(labels) == label]
        look = label % len(_MARKERS)
        axes.scatter(
            own[:, 0], own[:, 1], s=13, color=shades[look], marker=_MARKERS[look], linewidths=0, zorder=3
        )


def _mark_anchors(axes: Axes, anchors: Array, marker: str = "*", name: str | None = None) -> None:
    """Anchors [m, 2] as large black marks."""
    look: dict[str, Any] = {"marker": marker, "color": "black", "edgecolors": "white", "linewidths": 0.8}
    axes.scatter(anchors[:, 0], anchors[:, 1], s=95, zorder=5, label=name, **look)


def _mark_line(axes: Axes, anchors: Array) -> None:
    """The line through the origin and the farthest of the anchors [m, 2]."""
    reach = 1.3 * anchors[np.linalg.norm(anchors, axis=1).argmax()]
    axes.plot(*np.stack([-reach, reach]).T, color="0.4", linestyle="--", linewidth=0.9, zorder=1)


def _mark_origin(axes: Axes) -> None:
    """A cross at (0, 0)."""
    axes.plot(0, 0, "+", color="0.2", markersize=10, zorder=4)


def _square(axes: Axes, points: Array) -> None:
    """Limits that hold points [n, 2] and the origin, with the same scale in both directions."""
    low, high = np.minimum(points.min(0), 0), np.maximum(points.max(0), 0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_aspect("equal")


def _sample_rows(panel: str, space: Space, points: Array) -> Rows:
    """The CSV's rows of samples drawn at points [n, 2]."""
    found = zip(points.tolist(), space.labels, strict=True)
    return [(panel, space.encoder, f"sample {n}", label, x, y, "") for n, ((x, y), label) in enumerate(found)]


def _anchor_rows(panel: str, space: Space) -> Rows:
    """The CSV's rows of an encoder's anchors."""
    found = enumerate(space.anchors.tolist(), 1)
    return [(panel, space.encoder, f"anchor {n}", "", x, y, "") for n, (x, y) in found]


def _number_row(panel: str, encoder: str, item: str, value: float) -> tuple[Any, ...]:
    """The CSV's row of a single number."""
    return (panel, encoder, item, "", "", "", float(value))


def _settings_said(settings: dict[str, Any]) -> str:
    """What a deformation does, in a few signs."""
    signs = (
        ("rotation", "{:g}°", 0),
        ("condition", "{:g}:1", 1),
        ("scale", "×{:g}", 1),
        ("translation", "+{:g}", 0),
        ("noise", "±{:g}", 0),
    )
    return ", ".join(
        sign.format(settings[name]) for name, sign, idle in signs if settings.get(name, idle) != idle
    )
