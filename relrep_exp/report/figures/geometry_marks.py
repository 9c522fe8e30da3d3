"""How points, anchors and deformations look in figures of the geometry task, and how a CSV names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relrep_exp.report.figures.style import hues

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relrep_exp.report.figures.geometry_views import Array, Space

COLUMNS = ("panel", "encoder", "item", "cluster", "x", "y", "value")
Rows = list[tuple[Any, ...]]

_MARKERS = "osD^vPX<>h"


def scatter(axes: Axes, points: Array, labels: Sequence[int]) -> None:
    """Dots [n, 2], clusters told apart by hue and by shape."""
    shades = hues(len(_MARKERS))
    for label in sorted(set(labels)):
        own = points[np.asarray(labels) == label]
        look = label % len(_MARKERS)
        axes.scatter(
            own[:, 0], own[:, 1], s=13, color=shades[look], marker=_MARKERS[look], linewidths=0, zorder=3
        )


def mark_anchors(axes: Axes, anchors: Array, marker: str = "*", name: str | None = None) -> None:
    """Anchors [m, 2] as large black marks."""
    look: dict[str, Any] = {"marker": marker, "color": "black", "edgecolors": "white", "linewidths": 0.8}
    axes.scatter(anchors[:, 0], anchors[:, 1], s=95, zorder=5, label=name, **look)


def mark_line(axes: Axes, anchors: Array) -> None:
    """The line through the origin and the farthest of the anchors [m, 2]."""
    reach = 1.3 * anchors[np.linalg.norm(anchors, axis=1).argmax()]
    axes.plot(*np.stack([-reach, reach]).T, color="0.4", linestyle="--", linewidth=0.9, zorder=1)


def mark_origin(axes: Axes) -> None:
    """A cross at (0, 0)."""
    axes.plot(0, 0, "+", color="0.2", markersize=10, zorder=4)


def square(axes: Axes, points: Array) -> None:
    """Limits that hold points [n, 2] and the origin, with the same scale in both directions."""
    low, high = np.minimum(points.min(0), 0), np.maximum(points.max(0), 0)
    middle, half = (low + high) / 2, 0.55 * (high - low).max()
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_aspect("equal")


def sample_rows(panel: str, space: Space, points: Array) -> Rows:
    """The CSV's rows of samples drawn at points [n, 2]."""
    found = zip(points.tolist(), space.labels, strict=True)
    return [(panel, space.encoder, f"sample {n}", label, x, y, "") for n, ((x, y), label) in enumerate(found)]


def anchor_rows(panel: str, space: Space) -> Rows:
    """The CSV's rows of an encoder's anchors."""
    found = enumerate(space.anchors.tolist(), 1)
    return [(panel, space.encoder, f"anchor {n}", "", x, y, "") for n, (x, y) in found]


def number_row(panel: str, encoder: str, item: str, value: float) -> tuple[Any, ...]:
    """The CSV's row of a single number."""
    return (panel, encoder, item, "", "", "", float(value))


def said(settings: dict[str, Any]) -> str:
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
