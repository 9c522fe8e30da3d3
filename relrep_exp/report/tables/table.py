"""What a table is made of: measures, cells, columns, lines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ABSOLUTE = "absolute"
RANKING = "best per row besides absolute"

_SHOWN_MISSING = 6
WITHIN, HIGHER, LOWER = "within noise", "higher", "lower"
MARKS = {WITHIN: "≈", HIGHER: "↑", LOWER: "↓"}
JOIN = "join_seconds"  # of a record's timings, not of its rows: seconds until a new encoder can be read
RESCALED = "accuracy@"  # followed by the factor


@dataclass(frozen=True)
class Measure:
    """One metric as a reader sees it.

    Attributes:
        name: the metric's name in a `Row`.
        label: its name in a table.
        percent: whether the fraction is printed as a percentage, as the paper does.
        decimals: digits after the point.
        better: +1 if higher is better, -1 if lower is, 0 if it is a description and no score.
        per_encoder: whether it describes the test encoder alone, so that one row serves every classifier.
    """

    name: str
    label: str
    percent: bool = False
    decimals: int = 3
    better: int = 1
    per_encoder: bool = False

    def text(self, value: float) -> str:
        """The value as printed; `nan` where it is not defined."""
        if math.isnan(value):
            return "nan"
        return f"{value * 100 if self.percent else value:.{self.decimals}f}"

    def spread(self, mean: float, std: float) -> str:
        """`89.59 ± 0.19`; the mean alone where there is no deviation."""
        spread = self.text(std)
        return self.text(mean) + (f" ± {spread}" if spread != "nan" else "")

    def signed(self, value: float) -> str:
        """A difference as printed, with its sign; what rounds to nothing is positive."""
        return f"{value * 100 if self.percent else value:+z.{self.decimals}f}"

    @property
    def unit(self) -> str:
        """The label with its unit, e.g. `weighted F1 in %`."""
        return f"{self.label} in %" if self.percent else self.label


_KNOWN = (
    Measure("f1_weighted", "weighted F1", percent=True, decimals=2),
    Measure("accuracy", "accuracy", percent=True, decimals=2),
    Measure("mse", "MSE", decimals=4, better=-1),
    Measure("own_mse", "own MSE", decimals=4, better=-1),
    Measure("psnr", "PSNR", decimals=2),
    Measure("ssim", "SSIM"),
    Measure("variance", "variance", decimals=4, better=0, per_encoder=True),
    Measure("autoencoder_mse", "AE MSE", decimals=4, better=0, per_encoder=True),
    Measure("mrr", "MRR"),
    Measure("recall@1", "R@1", percent=True, decimals=2),
    Measure("recall@5", "R@5", percent=True, decimals=2),
    Measure("nmse", "nMSE", better=-1),
    Measure("cka", "CKA"),
    Measure("overlap", "overlap"),
    Measure("rr_cosine", "RR cosine"),
    Measure("shift_near", "shift near 0", better=-1),
    Measure("shift_far", "shift far off", better=-1),
    Measure("rr_std", "RR std", better=0, per_encoder=True),
    Measure(JOIN, "join in s", decimals=4, better=0, per_encoder=True),
    Measure("parallel_points", "parallel points", decimals=0, better=0, per_encoder=True),
    Measure("reconstruction_cosine", "cosine to the original", decimals=4, per_encoder=True),
    Measure("reconstruction_relative_error", "relative error", decimals=4, better=-1, per_encoder=True),
    Measure("reconstruction_rank", "rank of the anchors", decimals=1, better=0, per_encoder=True),
    Measure("reconstruction_condition", "condition", decimals=0, better=0, per_encoder=True),
    Measure("effective_rank", "eff. rank", decimals=1, better=0, per_encoder=True),
)
_BY_NAME = {measure.name: measure for measure in _KNOWN}


def measure_of(metric: str) -> Measure:
    """The known measure of that name; an unknown metric prints under its own name and is not ranked."""
    if metric.startswith(RESCALED):
        factor = metric.removeprefix(RESCALED)
        return Measure(metric, f"accuracy at {factor}x", True, decimals=2, better=0, per_encoder=True)
    return _BY_NAME.get(metric) or Measure(metric, metric, better=0)


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
    def headings(self) -> list[str]:
        """The header; a column with fewer seeds than the others says how many."""
        counts = [0, 0, *(self.seeds_of(column) for column in self.columns)]
        shown = zip(self.header, counts, strict=True)
        return [f"{name} (n={n})" if 0 < n < self.seeds else name for name, n in shown]

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


def seeds_legend(table: Table, what: str) -> str:
    """What a cell holds: how many seeds of what, e.g. `mean ± std over 3 seeds, weighted F1 in %`."""
    counts = {cell.n for line in table.rows for cell in line.cells if cell and cell.n}
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {what}"
    if len(counts) == 1:
        return f"mean ± std over {table.seeds} seeds, {what}"
    return f"mean ± std over {table.seeds} seeds (n where it is fewer), {what}"
