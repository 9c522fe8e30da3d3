"""What a change of one setting does: the numbers behind the table and the figure of variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.cells import Cell, cell_of, mean_of, std_of
from relrep_exp.report.measures import Measure, measure_of
from relrep_exp.report.points import base_points, by_seed, of_methods, score
from relrep_exp.report.tables import headline

if TYPE_CHECKING:
    from relrep_exp.report.points import Point
    from relrep_exp.schema import ExperimentConfig
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
    """

    method: str
    key: str
    value: Any
    measure: Measure
    cell: Cell | None
    spread: float


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
        own = _scores(records, measure)
        base = cell_of(list(own.values()))
        bases.append(Effect(method, BASE, None, measure, base, base.std if base else float("nan")))
        for (key, _), there in _variations(members).items():
            runs = by_seed(there)
            cell, spread = _change(_scores(runs, measure), own)
            if cell is not None:
                cell = replace(cell, default=_same(runs, records))
            value = there[0].varied[1] if there[0].varied else None
            changed.append(Effect(method, key, value, measure, cell, spread))
    keys = list(dict.fromkeys(effect.key for effect in changed))
    return bases + sorted(changed, key=lambda effect: keys.index(effect.key))


def _variations(points: Sequence[Point]) -> dict[tuple[str, str], list[Point]]:
    """The points of each changed setting, by key and value; True is not 1."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.varied is not None:
            found.setdefault((point.varied[0], repr(point.varied[1])), []).append(point)
    return found


def _metric(experiment: ExperimentConfig, records: Sequence[Record]) -> str:
    known = {row.metric for record in records for row in record.rows}
    return experiment.metric if experiment.metric in known else headline(records)


def _scores(records: dict[int, Record], measure: Measure) -> dict[int, float]:
    scores = {seed: score(record, measure.name) for seed, record in records.items()}
    return {seed: value for seed, value in scores.items() if value is not None}


def _change(scores: dict[int, float], base: dict[int, float]) -> tuple[Cell | None, float]:
    """The cell of a setting, and the std of its difference to the base over the seeds that both have."""
    cell = cell_of(list(scores.values()))
    changes = [scores[seed] - base[seed] for seed in scores.keys() & base.keys()]
    if cell is None or not changes:
        return cell, float("nan")
    return replace(cell, change=mean_of(changes)), std_of(changes)


def _same(records: dict[int, Record], base: dict[int, Record]) -> bool:
    """Whether the runs are those of the base: what was set is what the method has anyway."""
    shared = records.keys() & base.keys()
    return bool(shared) and all(records[seed].key == base[seed].key for seed in shared)
