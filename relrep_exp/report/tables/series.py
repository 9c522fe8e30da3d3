"""An experiment's numbers along its axis: what the table and the lines of Figures 3 and 4 show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.cells import Cell, cell_of
from relrep_exp.report.tables.points import base_points, by_seed, of_methods, score

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point


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
    """The methods along `experiment.x`, each value the off-diagonal mean (of `absolute`: the matching one).

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
        cells = {place: _cell(there, metric) for place, there in places.items()}
        found.append(Series(method, cells, _flat(places)))
    return found


def values_of(series: Sequence[Series]) -> list[Any]:
    """Every value of the axis, numbers by size and before names."""
    return sorted({x for one in series for x in one.cells}, key=natural)


def natural(value: object) -> tuple[bool, float, str]:
    """A key to sort by: numbers by size, then everything else by name."""
    number = isinstance(value, int | float)
    return not number, float(value) if isinstance(value, int | float) else 0.0, str(value)


def _cell(points: Sequence[Point], metric: str) -> Cell | None:
    records = by_seed(points).values()
    scores = {record.key: value for record in records if (value := score(record, metric)) is not None}
    return cell_of(list(scores.values()), list(scores))


def _flat(places: dict[Any, list[Point]]) -> bool:
    """Whether every seed has one and the same record wherever it is on the axis."""
    keys = [{point.record.config["seed"]: point.record.key for point in there} for there in places.values()]
    return len(keys) > 1 and all(
        here[seed] == there[seed] for here in keys for there in keys for seed in here.keys() & there.keys()
    )
