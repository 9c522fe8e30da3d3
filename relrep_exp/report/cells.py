"""What a table is made of, and what is marked and said in any of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from relrep_exp.report.measures import Measure

ABSOLUTE = "absolute"
RANKING = "best per row besides absolute"

_SHOWN_MISSING = 6


@dataclass(frozen=True)
class Cell:
    """The seeds of one method on one pair of encoders.

    Attributes:
        mean: over the seeds; NaN as soon as one seed is, because a run that failed must not be averaged away.
        std: the sample standard deviation (ddof=1); NaN for a single seed.
        n: how many seeds.
        best: whether it is the best of its row.
        change: where a setting was changed, the mean difference to the same seeds without the change.
        default: whether the setting is the method's own, so that nothing was changed.
    """

    mean: float
    std: float
    n: int
    best: bool = False
    change: float | None = None
    default: bool = False


@dataclass(frozen=True)
class Column:
    """One column of values: its heading, the method that was measured, and what was measured."""

    label: str
    method: str
    measure: Measure


@dataclass(frozen=True)
class Line:
    """One row: `None` marks a cell without a value. A closing row averages over the rows above it.

    Attributes:
        target: its first name, the test encoder of a pair.
        source: its second name.
        cells: one for each column.
        closing: whether it averages.
        measure: what the row holds, where rows hold different measures; else the columns say.
    """

    target: str
    source: str
    cells: tuple[Cell | None, ...]
    closing: bool = False
    measure: Measure | None = None

    def measure_in(self, column: Column) -> Measure:
        """What the row's cell in this column holds."""
        return self.measure or column.measure


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
        missing: the runs that should be in the table and have no record.
        remarks: what else a reader should know, a sentence each.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    legend: str
    names: tuple[str, str]
    fields: tuple[str, str]
    ranking: str = ""
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
        """The line under the table, for a renderer that marks the best in bold."""
        return " ".join(self.notes("bold"))

    def notes(self, mark: str) -> list[str]:
        """What to print under the table, a line each; `mark` is how the best cells are marked."""
        lines = [f"{self.legend}; {mark}: {self.ranking}" if self.ranking else self.legend, *self.remarks]
        if self.missing:
            shown = ", ".join(self.missing[:_SHOWN_MISSING])
            rest = len(self.missing) - _SHOWN_MISSING
            more = f" and {rest} more" if rest > 0 else ""
            lines.append(f"No record of {len(self.missing)} run(s): {shown}{more}.")
        return lines


def mean_of(values: Sequence[float]) -> float:
    """The mean, exactly rounded; an infinity or NaN among the values stays one."""
    return statistics.fmean(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def std_of(values: Sequence[float]) -> float:
    """The sample standard deviation (ddof=1); NaN for a single value or where one is not finite."""
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def cell_of(values: Sequence[float]) -> Cell | None:
    """The cell of one value for each seed; None where there is none."""
    return Cell(mean_of(values), std_of(values), len(values)) if values else None


def mark_best(line: Line, columns: Sequence[Column]) -> Line:
    """Mark the best cells besides `absolute`, which is not zero-shot; equal as printed is a tie.

    Columns that hold different measures have no best.
    """
    pairs = list(zip(line.cells, columns, strict=True))
    measures = list(dict.fromkeys(line.measure_in(column) for column in columns))
    if len(measures) != 1:
        return line
    measure = measures[0]
    rivals = [
        cell.mean for cell, column in pairs if cell and column.method != ABSOLUTE and math.isfinite(cell.mean)
    ]
    if not rivals or not measure.better:
        return line
    best = measure.text(max(rivals, key=lambda mean: measure.better * mean))
    cells = tuple(
        replace(cell, best=True)
        if cell and column.method != ABSOLUTE and measure.text(cell.mean) == best
        else cell
        for cell, column in pairs
    )
    return replace(line, cells=cells)


def seeds_legend(table: Table, what: str) -> str:
    """What a cell holds: how many seeds of what, e.g. `mean ± std over 3 seeds, weighted F1 in %`."""
    counts = {cell.n for line in table.rows for cell in line.cells if cell}
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {what}"
    if len(counts) == 1:
        return f"mean ± std over {table.seeds} seeds, {what}"
    return f"mean ± std over {table.seeds} seeds (n where it is fewer), {what}"
