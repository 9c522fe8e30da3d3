"""What tables and figures of an experiment are made of: its finished runs, each with its place in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.report.measures import JOIN
from relrep_exp.report.tables.cells import ABSOLUTE, mean_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from relrep_exp.store.records import Record


@dataclass(frozen=True)
class Point:
    """One finished run of an experiment.

    Attributes:
        method: as the experiment calls it, e.g. `random-cosine`.
        at: its value on each axis, e.g. {"seed": 0, "anchors.m": 64}.
        varied: the one key that was changed from the method's own setting, with its value; None for the base.
        record: its numbers. Two points have the same record where the value that was set is the default.
    """

    method: str
    at: Mapping[str, Any]
    varied: tuple[str, Any] | None
    record: Record


@dataclass(frozen=True)
class Gap:
    """One run of an experiment that has no record.

    Attributes:
        method: as the experiment calls it.
        at: its value on each axis.
        varied: as of a `Point`.
        reason: why there is none, e.g. `not run yet`, `failed: ...`, `killed (signal 9)`.
        command: what makes this run alone.
    """

    method: str
    at: Mapping[str, Any]
    varied: tuple[str, Any] | None
    reason: str
    command: str


@dataclass(frozen=True)
class Drawing:
    """A figure and what it draws.

    Attributes:
        figure: ready to be saved.
        columns: the names of the numbers.
        rows: the numbers, one tuple a row: the CSV beside the figure.
    """

    figure: Figure
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def base_points(points: Sequence[Point]) -> list[Point]:
    """The runs in which every method has its own setting."""
    return [point for point in points if point.varied is None]


def by_seed(points: Sequence[Point]) -> dict[int, Record]:
    """The record of each seed, in the order of seeds.

    Raises:
        ValueError: two different runs claim the same seed: their average would mean nothing.
    """
    found: dict[int, Record] = {}
    for point in points:
        record = point.record
        first = found.setdefault(record.config["seed"], record)
        if first.key != record.key:
            raise ValueError(
                f"two different runs of {point.method} with seed {record.config['seed']} belong in different "
                f"tables: records {first.key} and {record.key}"
            )
    return dict(sorted(found.items()))


def of_methods(points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each method: `absolute` first, then in order of appearance."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: point.record.method != ABSOLUTE):
        found.setdefault(point.method, []).append(point)
    return found


def score(record: Record, metric: str) -> float | None:
    """One number of a run: the mean over pairs of different encoders, or over each encoder with itself.

    The latter where the run has nothing else: `absolute`, and metrics that describe one encoder. The time to
    join is measured, and so is no number of the run: its timings have it.
    """
    if metric == JOIN:
        return _seconds_to_join(record)
    rows = [row for row in record.rows if row.metric == metric]
    across = [row.value for row in rows if row.source != row.target]
    values = across or [row.value for row in rows]
    return mean_of(values) if values else None


def _seconds_to_join(record: Record) -> float | None:
    """Mean over the test encoders; None where no other encoder's decoder can read them."""
    joined = {row.target for row in record.rows if row.metric == "parallel_points"}
    seconds = record.timings.get("join")
    return seconds / len(joined) if joined and seconds is not None else None


def view_of(record: Record, kind: str) -> dict[str, Any] | None:
    """The record's first view of a kind; None where it has none."""
    return next((view for view in record.views if view.get("kind") == kind), None)
