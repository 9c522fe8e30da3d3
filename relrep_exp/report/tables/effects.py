"""What a change of one setting does: the numbers behind the table and the figure of variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.points import base_points, by_seed, of_methods, score
from relrep_exp.report.tables.run_table import headline
from relrep_exp.report.tables.table import Cell, Measure, cell_of, mean_of, measure_of, std_of

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

BASE = "own setting"  # the key of what is not changed


@dataclass(frozen=True)
class Effect:
    """One method with one key changed.

    Attributes:
        method: as the experiment calls it.
        key: what was changed, or `BASE`.
        value: to what; None for the base.
        measure: in which it is measured.
        cell: mean and std over the seeds; `change` is the mean over seeds of the difference to the base, and
            `default` says that the value is the method's own. None where the runs do not have the metric.
        spread: std over the seeds of that difference; of the base, of its score. NaN for a single seed.
        seeds: how many seeds have that difference; of the base, a score.
    """

    method: str
    key: str
    value: Any
    measure: Measure
    cell: Cell | None
    spread: float
    seeds: int


def effects_of(experiment: ExperimentConfig, points: Sequence[Point]) -> list[Effect]:
    """The base of every method, then every changed setting, both in order of appearance.

    The metric is the experiment's; of a method whose task does not have it, that task's headline.

    Raises:
        ValueError: the runs differ in more than method, seed and one changed key.
    """
    bases: list[Effect] = []
    changed: list[Effect] = []
    for method, members in of_methods(points).items():
        records = by_seed(base_points(members))
        measure = measure_of(_metric(experiment, list(records.values()) or [p.record for p in members]))
        own = list(_scores(records, measure).values())
        cell = _cell(records, measure)
        bases.append(Effect(method, BASE, None, measure, cell, std_of(own), len(own)))
        changed += [_effect(there, records, measure) for there in _variations(members)]
    keys = list(dict.fromkeys(effect.key for effect in changed))
    return bases + sorted(changed, key=lambda effect: keys.index(effect.key))


def _effect(points: Sequence[Point], base: dict[int, Record], measure: Measure) -> Effect:
    """One changed setting against the base."""
    records = by_seed(points)
    scores, own = _scores(records, measure), _scores(base, measure)
    changes = [scores[seed] - own[seed] for seed in scores if seed in own]
    cell = _cell(records, measure)
    if cell is not None and changes:
        cell = replace(cell, change=mean_of(changes), default=_same(records, base))
    key, value = points[0].varied or (BASE, None)
    return Effect(points[0].method, key, value, measure, cell, std_of(changes), len(changes))


def _cell(records: dict[int, Record], measure: Measure) -> Cell | None:
    scores = _scores(records, measure)
    return cell_of(list(scores.values()), [records[seed].key for seed in scores])


def _variations(points: Sequence[Point]) -> list[list[Point]]:
    """The points of each changed setting; True is not 1."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.varied is not None:
            found.setdefault((point.varied[0], repr(point.varied[1])), []).append(point)
    return list(found.values())


def _metric(experiment: ExperimentConfig, records: Sequence[Record]) -> str:
    known = {row.metric for record in records for row in record.rows}
    return experiment.metric if experiment.metric in known else headline(records)


def _scores(records: dict[int, Record], measure: Measure) -> dict[int, float]:
    scores = {seed: score(record, measure.name) for seed, record in records.items()}
    return {seed: value for seed, value in scores.items() if value is not None}


def _same(records: dict[int, Record], base: dict[int, Record]) -> bool:
    """Whether the runs are those of the base: what was set is what the method has anyway."""
    shared = records.keys() & base.keys()
    return bool(shared) and all(records[seed].key == base[seed].key for seed in shared)
