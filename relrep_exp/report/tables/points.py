"""Sort the runs of an experiment, with and without record: what is shown of them, and along its axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.measures import ERROR, JOIN, mean_of
from relrep_exp.report.tables.table import ABSOLUTE, Cell, Score, cell_of

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
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
class Place:
    """One run of an experiment, finished or not.

    Attributes:
        method: as the experiment calls it.
        at: its value on each axis.
        varied: as of a `Point`.
        key: of its record.
        command: what makes this run alone.
        reason: why it has no record, e.g. `failed: ...`, `killed (signal 9)`; "" where it has one.
    """

    method: str
    at: Mapping[str, Any]
    varied: tuple[str, Any] | None
    key: str
    command: str
    reason: str = ""

    @property
    def words(self) -> list[str]:
        """The method, and what sets the run apart from its others."""
        settings = dict(self.at) | dict([self.varied] if self.varied else [])
        return [self.method, *(f"{key}={value}" for key, value in settings.items())]


def base_points(points: Sequence[Point]) -> list[Point]:
    """Keep the runs in which every method has its own setting."""
    return [point for point in points if point.varied is None]


def by_seed(points: Sequence[Point]) -> dict[int, Record]:
    """Find the record of each seed, in the order of seeds.

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
    """Sort the points by method: `absolute` first, then in order of appearance."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: point.record.method != ABSOLUTE):
        found.setdefault(point.method, []).append(point)
    return found


def runs_of_methods(points: Sequence[Point]) -> dict[str, list[Record]]:
    """Find the records of each method's own setting, one a seed.

    Raises:
        ValueError: as of `by_seed`.
    """
    return {method: list(by_seed(own).values()) for method, own in of_methods(base_points(points)).items()}


def score(record: Record, metric: str) -> Score | None:
    """Take one number of a run: the mean over pairs of different encoders, or over each encoder with itself.

    The latter where the run has nothing else: `absolute`, and metrics that describe one encoder. The time to
    join is measured, and so is no number of the run: its timings have it, and this is the mean over test
    encoders, None where no other encoder's decoder can read them.
    """
    if metric == JOIN:
        joined = {row.target for row in record.rows if row.metric == "parallel_points"}
        seconds = record.timings.get("join")
        if not joined or seconds is None:
            return None
        return Score(record.key, record.config.get("seed"), {"": seconds / len(joined)})
    found, errors = (_over_pairs(record, name) for name in (metric, metric + ERROR))
    error = mean_of([errors.get(pair, math.nan) for pair in found]) if found else math.nan
    return Score(record.key, record.config.get("seed"), found, error) if found else None


def _over_pairs(record: Record, metric: str) -> dict[tuple[str, str], float]:
    rows = {(row.target, row.source): row.value for row in record.rows if row.metric == metric}
    across = {(target, source): value for (target, source), value in rows.items() if target != source}
    return across or rows


def mean_cell(records: Iterable[Record], metric: str) -> Cell | None:
    """Average over the seeds of the runs that have the metric, one record a seed."""
    unique = {record.key: record for record in records}.values()
    return cell_of([found for record in unique if (found := score(record, metric)) is not None])


def view_of(record: Record, kind: str) -> dict[str, Any] | None:
    """Find the record's first view of a kind; None where it has none."""
    return next((view for view in record.views if view.get("kind") == kind), None)


def is_absolute(experiment: ExperimentConfig, method: str) -> bool:
    """Tell whether a method reads nothing but its own encoder, so that no table has it between two."""
    return method == ABSOLUTE or "aligner=absolute" in experiment.methods.get(method, ())


def methods_of(
    experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()
) -> list[str]:
    """List every method of the experiment in its order, `absolute` first, whether it has a record or not."""
    found = dict.fromkeys([*experiment.methods, *of_methods(points), *(gap.method for gap in gaps)])
    return sorted(found, key=lambda method: not is_absolute(experiment, method))


def gaps_of_methods(gaps: Iterable[Place]) -> dict[str, list[Place]]:
    """Sort the missing runs of methods' own settings by method."""
    found: dict[str, list[Place]] = {}
    for gap in gaps:
        if gap.varied is None:
            found.setdefault(gap.method, []).append(gap)
    return found


def missing_cell(gaps: Iterable[Place]) -> Cell:
    """Make a cell without a value that says why; without missing runs, that nobody ran it.

    `failed: out of memory` is `missing: failed` there, `killed (signal 9)` `missing: killed`, `not run yet`
    `missing: not run`; the notes below the table have the rest.
    """
    short = (gap.reason.split(":")[0].split("(")[0].strip().removesuffix(" yet") for gap in gaps)
    reasons = dict.fromkeys(short) or ["not run"]
    return Cell(math.nan, math.nan, 0, missing=f"missing: {', '.join(reasons)}")


def keeps(experiment: ExperimentConfig, target: str, source: str) -> bool:
    """Tell whether what happens between these two is shown."""
    among = not experiment.encoders or {target, source} <= set(experiment.encoders)
    tested = not experiment.test_encoders or target in experiment.test_encoders
    return among and tested and (not experiment.sources or source in experiment.sources)


def selected(experiment: ExperimentConfig, points: Sequence[Point]) -> list[Point]:
    """Keep what is shown of the points' numbers and views."""
    if not said(experiment):
        return list(points)
    found = []
    for point in points:
        rows = [row for row in point.record.rows if keeps(experiment, row.target, row.source)]
        # A view of one encoder is a pair of it with itself.
        pairs = [
            tuple(str(view.get(role, view.get("encoder"))) for role in ("target", "source"))
            for view in point.record.views
        ]
        views = [v for v, pair in zip(point.record.views, pairs, strict=True) if keeps(experiment, *pair)]
        found.append(replace(point, record=replace(point.record, rows=rows, views=views)))
    return found


def said(experiment: ExperimentConfig) -> list[str]:
    """Say what is selected; nothing where everything is shown."""
    parts = {
        "among": experiment.encoders,
        "with the test encoders": experiment.test_encoders,
        "with the sources": experiment.sources,
    }
    shown = [f"{what} {', '.join(names)}" for what, names in parts.items() if names]
    return [f"Of all pairs only those {', '.join(shown)}."] if shown else []


@dataclass(frozen=True)
class Series:
    """One metric of one method along the axis.

    Attributes:
        method: as the experiment calls it.
        cells: value of the axis -> mean and std over the seeds; None where the runs do not have the metric.
        flat: whether the method does not depend on the axis, so that its runs are the same at every value.
    """

    method: str
    cells: dict[Any, Cell | None]
    flat: bool


def series_of(experiment: ExperimentConfig, points: Sequence[Point], metric: str) -> list[Series]:
    """Follow methods along `experiment.x`; a value is the off-diagonal mean, of `absolute` the matching one.

    Raises:
        ValueError: the runs differ in more than method, seed and the axis.
    """
    x = experiment.x
    assert x is not None, "the schema asks for an axis"
    found = []
    for method, members in of_methods(base_points(points)).items():
        places: dict[Any, list[Point]] = {}
        for point in sorted(members, key=lambda point: natural(point.at[x])):
            places.setdefault(point.at[x], []).append(point)
        runs = {place: by_seed(there) for place, there in places.items()}
        cells = {place: mean_cell(there.values(), metric) for place, there in runs.items()}
        flat = len(runs) > 1 and all(
            here[seed].key == there[seed].key
            for here in runs.values()
            for there in runs.values()
            for seed in here.keys() & there.keys()
        )
        found.append(Series(method, cells, flat))
    return found


def values_of(series: Sequence[Series]) -> list[Any]:
    """List every value of the axis, numbers by size and before names."""
    return sorted({x for one in series for x in one.cells}, key=natural)


def natural(value: object) -> tuple[bool, float, str]:
    """Make a key to sort by: numbers by size, then everything else by name."""
    number = isinstance(value, int | float)
    return not number, float(value) if isinstance(value, int | float) else 0.0, str(value)
