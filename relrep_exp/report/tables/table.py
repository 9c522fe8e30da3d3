"""Make tables of cells, columns and lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relrep_exp.report.tables.measures import Measure, mean_of, std_of

ABSOLUTE = "absolute"

_SHOWN_MISSING = 6
WITHIN, HIGHER, LOWER = "within noise", "higher", "lower"
MARKS = {WITHIN: "≈", HIGHER: "↑", LOWER: "↓"}


@dataclass(frozen=True)
class Beside:
    """The paper's number for a cell, and what sets ours apart from it.

    Attributes:
        mean: the paper's, a fraction where ours is one.
        std: the paper's; NaN where it states none.
        n: the paper's number of seeds.
        difference: ours less the paper's; None where the two are not to be compared.
        verdict: of the test of the two means, one of `MARKS`; "" where there was no test.
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


class Score(NamedTuple):
    """What one run adds to a cell.

    Attributes:
        key: of its record.
        seed: of the run.
        pairs: the numbers that it averages, by pair of encoders.
        error: their standard error over test samples, the mean over the pairs: these share their samples, so
            that their mean's is at most that. NaN where it was not measured.
    """

    key: str
    seed: Any
    pairs: Mapping[Any, float]
    error: float = math.nan

    @property
    def value(self) -> float:
        """The run's number."""
        return mean_of([*self.pairs.values()])


@dataclass(frozen=True)
class Cell:
    """The seeds of one method on one pair of encoders.

    Attributes:
        mean: over the seeds; NaN as soon as one seed is, because a run that failed must not be averaged away.
        std: the sample standard deviation (ddof=1); NaN for a single seed.
        n: how many seeds; 0 where every run that belongs here is missing.
        best: whether it is the best of its row, or noise does not tell it from the best.
        p: of the test against the best, corrected for the number of tests; None where there was none.
        change: where a setting was changed, the mean difference to the same seeds without the change.
        default: whether the setting is the method's own, so that nothing was changed.
        scores: the runs that it averages.
        missing: why there is no value, e.g. `missing: not run`; "" where there is one.
        beside: the paper's number; None where it has none.
    """

    mean: float
    std: float
    n: int
    best: bool = False
    p: float | None = None
    change: float | None = None
    default: bool = False
    scores: tuple[Score, ...] = ()
    missing: str = ""
    beside: Beside | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The records that it averages."""
        return tuple(score.key for score in self.scores)

    @property
    def error(self) -> float:
        """The standard error over test samples: the runs' mean, as all of them are tested on the same."""
        return mean_of([score.error for score in self.scores]) if self.scores else math.nan


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
        """Tell what the row's cell in this column holds."""
        return self.measure or column.measure

    def method_in(self, column: Column) -> str:
        """Tell whose number the row's cell in this column is."""
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
        uncertainty: how sure the numbers are, a sentence each.
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
    uncertainty: tuple[str, ...] = ()
    beside: str = ""
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The heading of every column, names included."""
        return (*self.names, *(column.label for column in self.columns))

    @property
    def headings(self) -> list[str]:
        """The header; a column with fewer seeds than the others says how many."""
        counts = [0, 0, *(self.seeds_of(column) for column in self.columns)]
        shown = zip(self.header, counts, strict=True)
        return [f"{name} (n={n})" if 0 < n < self.seeds else name for name, n in shown]

    @property
    def seeds(self) -> int:
        """The number of seeds of the fullest cell."""
        return max((cell.n for line in self.rows for cell in line.cells if cell), default=0)

    def seeds_of(self, column: Column) -> int:
        """Count the seeds of a column's fullest cell."""
        index = self.columns.index(column)
        return max((cell.n for line in self.rows if (cell := line.cells[index])), default=0)

    def notes(self, mark: str) -> list[str]:
        """List what to print under the table, a line each; `mark` is how the best cells are marked."""
        lines = [f"{self.legend}; {mark}: {self.ranking}" if self.ranking else self.legend]
        lines += [*self.uncertainty, *[self.beside] * bool(self.beside), *self.remarks]
        if self.missing:
            rest = len(self.missing) - _SHOWN_MISSING
            lines += [f"No record of {len(self.missing)} run(s):", *self.missing[:_SHOWN_MISSING]]
            lines += [f"and {rest} more."] * (rest > 0)
        return lines


def cell_of(scores: Sequence[Score]) -> Cell | None:
    """Make the cell of one run for each seed; None where there is none."""
    values = [score.value for score in scores]
    return Cell(mean_of(values), std_of(values), len(values), scores=tuple(scores)) if values else None


def seeds_legend(table: Table, what: str) -> str:
    """Say what a cell holds: how many seeds of what, e.g. `mean ± std over 3 seeds, weighted F1 in %`."""
    counts = {cell.n for line in table.rows for cell in line.cells if cell and cell.n}
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {what}"
    fewer = " (n where it is fewer)" if len(counts) > 1 else ""
    return f"mean ± std over {table.seeds} seeds{fewer}, {what}"
