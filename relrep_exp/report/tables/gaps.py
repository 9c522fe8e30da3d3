"""Runs that have no record: where a table says so, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from relrep_exp.report.tables.cells import ABSOLUTE, Cell
from relrep_exp.report.tables.points import of_methods

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Gap, Point


def is_absolute(experiment: ExperimentConfig, method: str) -> bool:
    """Whether a method reads nothing but its own encoder, so that no table has it between two."""
    return method == ABSOLUTE or "aligner=absolute" in experiment.methods.get(method, ())


def methods_of(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()) -> list[str]:
    """Every method of the experiment in its order, `absolute` first, whether it has a record or not."""
    found = dict.fromkeys([*experiment.methods, *of_methods(points), *(gap.method for gap in gaps)])
    return sorted(found, key=lambda method: not is_absolute(experiment, method))


def base_gaps(gaps: Sequence[Gap]) -> list[Gap]:
    """Those in which every method has its own setting."""
    return [gap for gap in gaps if gap.varied is None]


def missing_cell(gaps: Iterable[Gap]) -> Cell:
    """A cell without a value that says why; without gaps, that nobody ran it.

    `failed: out of memory` is `missing: failed` there; the notes below the table have the rest.
    """
    reasons = dict.fromkeys(_short(gap.reason) for gap in gaps) or ["not run"]
    return Cell(math.nan, math.nan, 0, missing=f"missing: {', '.join(reasons)}")


def by_method(gaps: Iterable[Gap]) -> Mapping[str, list[Gap]]:
    """The gaps of each method."""
    found: dict[str, list[Gap]] = {}
    for gap in gaps:
        found.setdefault(gap.method, []).append(gap)
    return found


def described(gap: Gap) -> str:
    """The run, the reason, and the command that makes it."""
    places = dict(gap.at) | dict([gap.varied] if gap.varied else [])
    where = " ".join([gap.method, *(f"{key}={value}" for key, value in places.items())])
    return f"{where}: {gap.reason}; {gap.command}"


def _short(reason: str) -> str:
    """`failed: ...` and `killed (signal 9)` in one word, `not run yet` in two."""
    return reason.split(":")[0].split("(")[0].strip().removesuffix(" yet")
