"""What records of the geometry task hold for figures: points, anchors and relative representations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from relrep_exp.report.tables.points import Point

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
    """

    encoder: str
    settings: dict[str, Any]
    labels: list[int]
    points: Array
    anchors: Array
    rr: Array

    @property
    def deformed(self) -> bool:
        """Whether it is turned, stretched and shifted all at once."""
        turned, stretched = bool(self.settings.get("rotation")), self.settings.get("condition", 1) > 1
        return turned and stretched and bool(self.settings.get("translation"))


def spaces_of(point: Point) -> list[Space]:
    """The encoders of one run, the undeformed first.

    Raises:
        UserError: the run keeps nothing that can be drawn.
    """
    views = [view for view in point.record.views if view.get("kind") == "geometry"]
    if not views:
        what = f"{point.method}: its points or its anchors are more than a figure can show"
        raise user_error(what, "use task=geometry with data.dim=2 anchors.m=2")
    made = point.record.config.get("encoders", {})
    return [_space(view, dict(made.get(view["encoder"], {}).get("encoder", {}))) for view in views]


def _space(view: dict[str, Any], settings: dict[str, Any]) -> Space:
    points, anchors, rr = (_plane(view[name]) for name in ("points", "anchors", "rr"))
    return Space(view["encoder"], settings, view["labels"], points, anchors, rr)


def _plane(rows: list[list[float]]) -> Array:
    """The first two coordinates; the second is zero where there is but one."""
    found = np.asarray(rows, dtype=float)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


@dataclass(frozen=True)
class Noise:
    """What noise does to the anchors of some runs.

    Attributes:
        encoder: the noisy one.
        std: of the noise in each coordinate.
        clean: the anchors without it, [n, 2].
        noisy: and with it, [n, 2].
        shifts: how far RR's column of each moves, root mean square over samples, over the standard deviation
            of RR (the root of the summed variances of its columns), [n].
    """

    encoder: str
    std: float
    clean: Array
    noisy: Array
    shifts: Array

    @property
    def radii(self) -> Array:
        """The distance of each anchor from the origin, [n]."""
        found: Array = np.linalg.norm(self.clean, axis=1)
        return found

    @property
    def turns(self) -> Array:
        """By how many degrees the noise turns each, [n]."""
        cosines = (self.clean * self.noisy).sum(1) / (self.radii * np.linalg.norm(self.noisy, axis=1))
        found: Array = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        return found


def noise_in_anchors(points: Sequence[Point]) -> Noise:
    """The anchors of these runs in the first encoder, and in the first with noise, or else the last."""
    pairs = [_clean_and_noisy(spaces_of(point)) for point in points]
    noisy = pairs[0][1]
    clean_anchors, noisy_anchors = (np.concatenate([pair[i].anchors for pair in pairs]) for i in (0, 1))
    shifts = np.concatenate([_shifts(clean.rr, noisy.rr) for clean, noisy in pairs])
    return Noise(noisy.encoder, noisy.settings.get("noise", 0.0), clean_anchors, noisy_anchors, shifts)


def _clean_and_noisy(spaces: list[Space]) -> tuple[Space, Space]:
    return spaces[0], next((space for space in spaces if space.settings.get("noise")), spaces[-1])


def _shifts(clean: Array, noisy: Array) -> Array:
    """How far each column of RR [n, m] moves, as `Noise.shifts` has it, [m]."""
    found: Array = np.sqrt(((noisy - clean) ** 2).mean(0) / clean.var(0, ddof=1).sum())
    return found


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
