"""Read what records of the geometry task hold for figures: points, anchors and relative representations."""

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


def spaces_of(point: Point) -> list[Space]:
    """Read the encoders of one run, the undeformed first.

    Raises:
        UserError: the run keeps nothing that can be drawn.
    """
    views = [view for view in point.record.views if view.get("kind") == "geometry"]
    if not views:
        what = f"{point.method}: its points or its anchors are more than a figure can show"
        raise user_error(what, "use task=geometry with data.dim=2 anchors.m=2")
    made = point.record.config.get("encoders", {})
    found = []
    for view in views:
        settings = dict(made.get(view["encoder"], {}).get("encoder", {}))
        planes = (_plane(view[name]) for name in ("points", "anchors", "rr"))
        found.append(Space(view["encoder"], settings, view["labels"], *planes))
    return found


def _plane(rows: list[list[float]]) -> Array:
    """Take the first two coordinates; the second is zero where there is but one."""
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
        radii: the distance of each from the origin, [n].
        turns: by how many degrees the noise turns each, [n].
        shifts: how far RR's column of each moves, root mean square over samples, over the standard deviation
            of RR (the root of the summed variances of its columns), [n].
    """

    encoder: str
    std: float
    clean: Array
    noisy: Array
    radii: Array
    turns: Array
    shifts: Array


def noise_in_anchors(points: Sequence[Point]) -> Noise:
    """Compare these runs' anchors in the first encoder and in the first with noise, or else the last."""
    pairs = []
    for point in points:
        spaces = spaces_of(point)
        noisy = next((space for space in spaces if space.settings.get("noise")), spaces[-1])
        pairs.append((spaces[0], noisy))
    before, after = (np.concatenate([pair[side].anchors for pair in pairs]) for side in (0, 1))
    shifts = [
        np.sqrt(((noisy.rr - clean.rr) ** 2).mean(0) / clean.rr.var(0, ddof=1).sum())
        for clean, noisy in pairs
    ]
    first = pairs[0][1]
    radii = np.linalg.norm(before, axis=1)
    cosines = (before * after).sum(1) / (radii * np.linalg.norm(after, axis=1))
    turns = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    std = first.settings.get("noise", 0.0)
    return Noise(first.encoder, std, before, after, radii, turns, np.concatenate(shifts))


def drawn(points: Sequence[Point]) -> list[Point]:
    """Take the first run of each method, in order of appearance."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(point.method, point)
    return list(first.values())


def part(point: Point, group: str) -> str:
    """Name the run's `anchors` or `sim`."""
    return str(point.record.config["method"].get(group, {}).get("name", ""))


def label(point: Point) -> str:
    """Name the method, with the shrinkage where it plays a part."""
    shrinkage = point.record.config["method"]["aligner"].get("shrinkage")
    return f"{point.method}, λ = {shrinkage:g}" if part(point, "sim") == "wip" else point.method


def value_of(point: Point, metric: str, source: str, target: str) -> float:
    """Take one number of one run; NaN where it has none."""
    values = {(row.source, row.target, row.metric): row.value for row in point.record.rows}
    return values.get((source, target, metric), float("nan"))
