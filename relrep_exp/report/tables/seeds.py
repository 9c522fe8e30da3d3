"""The single runs behind a cell: which they are on the page, and the value of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relrep_exp.report.measures import Measure
from relrep_exp.report.tables.cells import Cell, Line, mean_of
from relrep_exp.report.tables.pair_tables import MATCHING

if TYPE_CHECKING:
    from relrep_exp.store.records import Record, Row

    Choice = Callable[[Row], bool]


@dataclass
class Runs:
    """The records of the page, each with its number there.

    Attributes:
        records: in the order of their numbers.
        numbers: by key.
    """

    records: Sequence[Record] = ()
    numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = {record.key: number for number, record in enumerate(self.records)}

    def of(self, cell: Cell) -> list[int]:
        """The numbers of the runs that a cell averages."""
        return [self.numbers[key] for key in cell.keys if key in self.numbers]

    def values(self, cell: Cell, line: Line, measure: Measure) -> list[float]:
        """The value of each of them; none where they do not average to the cell.

        A table may show a part of the pairs, or a mean over something else; what a cell says of its runs must
        not be guessed.
        """
        records = [self.records[number] for number in self.of(cell)]
        for chosen in _choices(line):
            found = [_mean(record, measure.name, chosen) for record in records]
            if found and math.isclose(mean_of(found), cell.mean, rel_tol=1e-9):
                return found
        return []


def _choices(line: Line) -> list[Choice]:
    """What a row of a table may stand for; a retrieval's names its source first."""
    first, second = line.target, line.source
    if line.closing:
        return [lambda row: (row.source == row.target) == (second == MATCHING)]
    return [
        lambda row: (row.target, row.source) == (first, second),
        lambda row: (row.source, row.target) == (first, second),
        lambda row: row.source != row.target,
        lambda row: row.source == row.target,
    ]


def _mean(record: Record, metric: str, chosen: Choice) -> float:
    values = [row.value for row in record.rows if row.metric == metric and chosen(row)]
    return mean_of(values) if values else math.nan
