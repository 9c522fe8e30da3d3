"""Make tables of cells, columns and lines; mark the best cells."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from relrep_exp.report.tables.measures import Measure, mean_of, std_of

ABSOLUTE = "absolute"
RANKING = "best per row besides absolute"

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
        lines += [self.beside] * bool(self.beside) + list(self.remarks)
        if self.missing:
            rest = len(self.missing) - _SHOWN_MISSING
            lines += [f"No record of {len(self.missing)} run(s):", *self.missing[:_SHOWN_MISSING]]
            lines += [f"and {rest} more."] * (rest > 0)
        return lines


def cell_of(values: Sequence[float], keys: Sequence[str] = ()) -> Cell | None:
    """Make the cell of one value for each seed, with the keys of their records; None where there is none."""
    return Cell(mean_of(values), std_of(values), len(values), keys=tuple(keys)) if values else None


def seeds_legend(table: Table, what: str) -> str:
    """Say what a cell holds: how many seeds of what, e.g. `mean ± std over 3 seeds, weighted F1 in %`."""
    counts = {cell.n for line in table.rows for cell in line.cells if cell and cell.n}
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {what}"
    fewer = " (n where it is fewer)" if len(counts) > 1 else ""
    return f"mean ± std over {table.seeds} seeds{fewer}, {what}"


def mark_best(line: Line, columns: Sequence[Column]) -> Line:
    """Mark the best cells besides those of `absolute`, which is not zero-shot; equal as printed is a tie.

    Columns that hold different measures are ranked apart, and only where a measure has a choice.
    """
    held = [line.measure_in(column) for column in columns]
    for measure in dict.fromkeys(held):
        if len(set(held)) > 1 and held.count(measure) == 1:
            continue
        rivals = {
            index: cell.mean
            for index, (cell, column) in enumerate(zip(line.cells, columns, strict=True))
            if cell and not column.own and held[index] == measure
        }
        line = with_best(line, winners(measure, rivals))
    return line


def winners(measure: Measure, means: Mapping[int, float]) -> set[int]:
    """Find the best of these numbers, equal as printed; none where the measure is no score."""
    finite = [mean for mean in means.values() if math.isfinite(mean)]
    if not finite or not measure.better:
        return set()
    best = measure.text(max(finite, key=lambda mean: measure.better * mean))
    return {index for index, mean in means.items() if measure.text(mean) == best}


def with_best(line: Line, won: Collection[int]) -> Line:
    """Mark the cells at these places."""
    marked = (replace(c, best=True) if c and index in won else c for index, c in enumerate(line.cells))
    return replace(line, cells=tuple(marked))
