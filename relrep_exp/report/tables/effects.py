"""Measure what a change of one setting does: the numbers behind the table and the figure of variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.measures import Measure, mean_of, measure_of, std_of
from relrep_exp.report.tables.points import base_points, by_seed, mean_cell, of_methods, score
from relrep_exp.report.tables.run_table import headline
from relrep_exp.report.tables.table import Cell

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
        value: to what; "" for the base.
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
    """Measure the base of every method, then every changed setting, both in order of appearance.

    The metric is the experiment's; of a method whose task does not have it, that task's headline.

    Raises:
        ValueError: the runs differ in more than method, seed and one changed key.
    """
    bases: list[Effect] = []
    changed: list[Effect] = []
    for method, members in of_methods(points).items():
        base = by_seed(base_points(members))
        runs = list(base.values()) or [point.record for point in members]
        known = {row.metric for record in runs for row in record.rows}
        measure = measure_of(experiment.metric if experiment.metric in known else headline(runs))
        own = _scores(base, measure)
        cell = mean_cell(base.values(), measure.name)
        bases.append(Effect(method, BASE, "", measure, cell, std_of(list(own.values())), len(own)))
        variations: dict[tuple[str, str], list[Point]] = {}
        for point in members:
            if point.varied:
                key, value = point.varied
                variations.setdefault((key, repr(value)), []).append(point)  # by repr: True is not 1
        for (key, _), there in variations.items():
            records = by_seed(there)
            changes = [value - own[seed] for seed, value in _scores(records, measure).items() if seed in own]
            cell = mean_cell(records.values(), measure.name)
            if cell is not None and changes:
                shared = records.keys() & base.keys()
                default = bool(shared) and all(records[seed].key == base[seed].key for seed in shared)
                cell = replace(cell, change=mean_of(changes), default=default)
            _, value = there[0].varied or (BASE, "")
            changed.append(Effect(method, key, value, measure, cell, std_of(changes), len(changes)))
    keys = list(dict.fromkeys(effect.key for effect in changed))
    return bases + sorted(changed, key=lambda effect: keys.index(effect.key))


def _scores(records: dict[int, Record], measure: Measure) -> dict[int, float]:
    scores = {seed: score(record, measure.name) for seed, record in records.items()}
    return {seed: found.value for seed, found in scores.items() if found is not None}
