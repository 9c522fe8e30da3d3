"""What a table is made of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from relrep_exp.report.measures import Measure

ABSOLUTE = "absolute"
RANKING = "best per row besides absolute"

_SHOWN_MISSING = 6


@dataclass(frozen=True)
class Beside:
    """The paper's number for a cell, and what sets ours apart from it.

    Attributes:
        mean: the paper's, a fraction where ours is one.
        std: the paper's; NaN where it states none.
        n: the paper's number of seeds.
        difference: ours less the paper's; None where the two are not to be compared.
        verdict: of the test of the two means, one of `compare.MARKS`; "" where there was no test.
        p: its p-value; None where there was no test.
        reason: why there was no test; "" where there was one.
    """

    mean: float
    std: float
    n: int
    difference: float | None = None
    verdict: str = ""
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Cell:
    """The seeds of one method on one pair of encoders.

    Attributes:
        mean: over the seeds; NaN as soon as one seed is, because a run that failed must not be averaged away.
        std: the sample standard deviation (ddof=1); NaN for a single seed.
        n: how many seeds; 0 where every run that belongs here is missing.
        best: whether it is the best of its row.
        change: where a setting was changed, the mean difference to the same seeds without the change.
        default: whether the setting is the method's own, so that nothing was changed.
        keys: the records that it averages.
        missing: why there is no value, e.g. `missing: not run`; "" where there is one.
        beside: the paper's number; None where it has none.
    """

    mean: float
    std: float
    n: int
    best: bool = False
    change: float | None = None
    default: bool = False
    keys: tuple[str, ...] = ()
    missing: str = ""
    beside: Beside | None = None


@dataclass(frozen=True)
class Column:
    """One column of values.

    Attributes:
        label: its heading.
        method: the one that was measured; "" where rows say it.
        measure: what was measured.
        own: whether the method reads nothing but its own encoder: no rival of those that read others.
    """

    label: str
    method: str
    measure: Measure
    own: bool = False


@dataclass(frozen=True)
class Line:
    """One row: `None` marks a cell that is empty by design. A closing row averages over the rows above it.

    Attributes:
        target: its first name: of a pair the test encoder, in retrieval the source.
        source: its second name.
        cells: one for each column.
        closing: whether it averages.
        measure: what the row holds, where rows hold different measures; else the columns say.
        method: the method of the row, where each has rows; else the columns say.
    """

    target: str
    source: str
    cells: tuple[Cell | None, ...]
    closing: bool = False
    measure: Measure | None = None
    method: str = ""

    def measure_in(self, column: Column) -> Measure:
        """What the row's cell in this column holds."""
        return self.measure or column.measure

    def method_in(self, column: Column) -> str:
        """Whose number the row's cell in this column is."""
        return self.method or column.method


@dataclass(frozen=True)
class Table:
    """A table that every renderer understands.

    Attributes:
        title: one line.
        columns: the value columns; two columns of names precede them.
        rows: grouped by their first name, the closing rows last.
        legend: what a cell holds.
        names: the headings of the two columns of names.
        fields: the same in a CSV.
        ranking: what a mark on a cell means; empty if nothing is ranked.
        beside: what stands under a cell's value, and how it was tested; empty if nothing does.
        missing: the runs that should be in the table and have no record, with reason and command.
        remarks: what else a reader should know, a sentence each.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    legend: str
    names: tuple[str, str]
    fields: tuple[str, str]
    ranking: str = ""
    beside: str = ""
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The heading of every column, names included."""
        return (*self.names, *(column.label for column in self.columns))

    @property
    def compares(self) -> bool:
        """Whether cells say how far they are from a base."""
        return any(cell.change is not None for line in self.rows for cell in line.cells if cell)

    @property
    def seeds(self) -> int:
        """The number of seeds of the fullest cell."""
        return max((cell.n for line in self.rows for cell in line.cells if cell), default=0)

    def seeds_of(self, column: Column) -> int:
        """The number of seeds of a column's fullest cell."""
        index = self.columns.index(column)
        return max((cell.n for line in self.rows if (cell := line.cells[index])), default=0)

    @property
    def note(self) -> str:
        """The lines under the table as one, for a renderer that marks the best in bold."""
        return " ".join(self.notes("bold"))

    def notes(self, mark: str) -> list[str]:
        """What to print under the table, a line each; `mark` is how the best cells are marked."""
        lines = [f"{self.legend}; {mark}: {self.ranking}" if self.ranking else self.legend]
        lines += [self.beside] * bool(self.beside) + list(self.remarks)
        if self.missing:
            rest = len(self.missing) - _SHOWN_MISSING
            lines += [f"No record of {len(self.missing)} run(s):", *self.missing[:_SHOWN_MISSING]]
            lines += [f"and {rest} more."] * (rest > 0)
        return lines


def mean_of(values: Sequence[float]) -> float:
    """The mean, exactly rounded; an infinity or NaN among the values stays one."""
    return statistics.fmean(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def std_of(values: Sequence[float]) -> float:
    """The sample standard deviation (ddof=1); NaN for a single value or where one is not finite."""
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def cell_of(values: Sequence[float], keys: Sequence[str] = ()) -> Cell | None:
    """The cell of one value for each seed, with the keys of their records; None where there is none."""
    return Cell(mean_of(values), std_of(values), len(values), keys=tuple(keys)) if values else None
