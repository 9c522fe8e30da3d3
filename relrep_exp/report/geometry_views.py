"""What records of the geometry task hold for figures: points, anchors and relative representations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from relrep_exp.report.points import Point

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Space:
    """One encoder of one run, in the first two coordinates of its points and of their representations.

    Attributes:
        encoder: its name.
        settings: how it deforms points; empty where it is no made-up encoder.
        labels: the samples' clusters, [n].
        points: [n, 2].
        anchors: in the same coordinates, [m, 2].
        rr: relative representations, [n, 2].
        shift: how far each is from that of the first encoder, over the standard deviation of these, [n].
    """

    encoder: str
    settings: dict[str, Any]
    labels: list[int]
    points: Array
    anchors: Array
    rr: Array
    shift: Array

    @property
    def deformed(self) -> bool:
        """Whether it is turned, stretched and shifted all at once."""
        turned, stretched = bool(self.settings.get("rotation")), self.settings.get("condition", 1) > 1
        return turned and stretched and bool(self.settings.get("translation"))

    @property
    def noisy(self) -> bool:
        """Whether noise is added to it."""
        return bool(self.settings.get("noise"))


def spaces_of(point: Point) -> list[Space]:
    """The encoders of one run, the undeformed first.

    Raises:
        UserError: the run keeps nothing that can be drawn.
    """
    views = [view for view in point.record.views if "encoder" in view]
    if not views:
        what = f"{point.method}: its points or its anchors are more than a figure can show"
        raise user_error(what, "use task=geometry with data.dim=2 anchors.m=2")
    made = point.record.config.get("encoders", {})
    return [_space(view, dict(made.get(view["encoder"], {}).get("encoder", {}))) for view in views]


def _space(view: dict[str, Any], settings: dict[str, Any]) -> Space:
    points, anchors, rr = (_plane(view[name]) for name in ("points", "anchors", "rr"))
    shift = np.asarray(view["shift"], dtype=float)
    return Space(view["encoder"], settings, view["labels"], points, anchors, rr, shift)


def _plane(rows: list[list[float]]) -> Array:
    """The first two coordinates; the second is zero where there is but one."""
    found = np.asarray(rows, dtype=float)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def radii(points: Array) -> Array:
    """The distance of each of the points [n, 2] from the origin, [n]."""
    found: Array = np.linalg.norm(points, axis=1)
    return found


def turns(a: Array, b: Array) -> Array:
    """The angle between parallel rows [n, 2] in degrees, [n]."""
    cosines = (a * b).sum(1) / (radii(a) * radii(b))
    found: Array = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return found


def anchor_shifts(clean: Space, other: Space) -> Array:
    """How far each anchor's column of RR moves, in the same unit as a sample's row, `Space.shift`, [m]."""
    moved = np.sqrt(((other.rr - clean.rr) ** 2).mean(0))
    found: Array = moved / np.sqrt(clean.rr.var(0, ddof=1).sum())
    return found


def by_radius(points: Array, values: Array, bins: int) -> tuple[Array, Array]:
    """Samples in bins of equal number by their distance from the origin: mean distance, rms value; [bins]."""
    order = np.array_split(np.argsort(radii(points)), bins)
    distances = np.array([radii(points[rows]).mean() for rows in order])
    return distances, np.array([np.sqrt((values[rows] ** 2).mean()) for rows in order])


def drawn(points: Sequence[Point]) -> list[Point]:
    """The first run of each method, in order of appearance."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(point.method, point)
    return list(first.values())


def part(point: Point, group: str) -> str:
    """The name of the run's `anchors` or `sim`."""
    return str(point.record.config["method"].get(group, {}).get("name", ""))


def label(point: Point) -> str:
    """The method, with the shrinkage where it plays a part."""
    shrinkage = point.record.config["method"]["aligner"].get("shrinkage")
    return f"{point.method}, λ = {shrinkage:g}" if part(point, "sim") == "wip" else point.method


def value_of(point: Point, metric: str, source: str, target: str) -> float:
    """One number of one run; NaN where it has none."""
    values = {(row.source, row.target, row.metric): row.value for row in point.record.rows}
    return values.get((source, target, metric), float("nan"))


def mean_value(points: Sequence[Point], method: str, metric: str, source: str, target: str) -> float:
    """The mean over a method's runs."""
    runs = [point for point in points if point.method == method]
    return float(np.mean([value_of(point, metric, source, target) for point in runs]))
