"""The comparison table: methods side by side, one row per pair of encoders, as in Table 1.

Nothing heavy is imported here: the closing table of a cached sweep is wanted at once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relrep_exp.report.measures import Measure, measure_of

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

ABSOLUTE = "absolute"
MEAN = "mean"
OFF_DIAGONAL = "off-diagonal"
MATCHING = "matching"

Pair = tuple[str, str]
Run = dict[Pair, float]

_SHOWN_MISSING = 6
_HEADLINES = ("f1_weighted", "mse", "rr_cosine", "recall@1")


@dataclass(frozen=True)
class Cell:
    """The seeds of one method on one pair of encoders.

    Attributes:
        mean: over the seeds; NaN as soon as one seed is, because a run that failed must not be averaged away.
        std: the sample standard deviation (ddof=1); NaN for a single seed.
        n: how many seeds.
        best: whether it is the best of its row.
    """

    mean: float
    std: float
    n: int
    best: bool = False


@dataclass(frozen=True)
class Column:
    """One column of values: its heading, the method that was measured, and what was measured."""

    label: str
    method: str
    measure: Measure


@dataclass(frozen=True)
class Line:
    """One row: `None` marks a cell without a value. A closing row averages over the rows above it."""

    target: str
    source: str
    cells: tuple[Cell | None, ...]
    closing: bool = False


@dataclass(frozen=True)
class Table:
    """A table that every renderer understands.

    Attributes:
        title: one line.
        columns: the value columns; two columns of names precede them.
        rows: grouped by test encoder, the closing rows last.
        legend: what a cell holds.
        source: what the encoder beside the test encoder is to it.
        ranking: what a mark on a cell means; empty if nothing is ranked.
        missing: the runs that should be in the table and have no record.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    legend: str
    source: str
    ranking: str = ""
    missing: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The heading of every column, names included."""
        return ("test encoder", self.source, *(column.label for column in self.columns))

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
        lines = [f"{self.legend}; {mark}: {self.ranking}" if self.ranking else self.legend]
        if self.missing:
            shown = ", ".join(self.missing[:_SHOWN_MISSING])
            rest = len(self.missing) - _SHOWN_MISSING
            more = f" and {rest} more" if rest > 0 else ""
            lines.append(f"No record of {len(self.missing)} run(s): {shown}{more}.")
        return lines


def comparison(records: Sequence[Record], metric: str = "f1_weighted") -> Table:
    """Every method on every pair of encoders, mean and std over the seeds.

    Args:
        records: runs of one task that differ in nothing but method and seed; a record may come twice.
        metric: which of the rows' metrics.

    Raises:
        ValueError: two different runs claim the same method and seed, or the runs are of several tasks:
            their average would mean nothing.
    """
    runs = _runs(records, metric)
    pairs = _pairs(runs)
    columns = tuple(Column(method, method, measure_of(metric)) for method in runs)
    lines = [Line(*pair, tuple(_cell(runs[method], [pair]) for method in runs)) for pair in pairs]
    rows = tuple(_mark_best(line, columns) for line in lines + _closing(runs, pairs))
    ranking = "best per row besides absolute" if measure_of(metric).better else ""
    table = Table(_title(records, metric), columns, rows, "", source_role(records), ranking)
    return replace(table, legend=_legend(table, metric))


def headline(records: Sequence[Record]) -> str:
    """The metric that a comparison of these records shows: weighted F1, else R@1, else the first there is."""
    metrics = dict.fromkeys(row.metric for record in records for row in record.rows)
    return next((name for name in _HEADLINES if name in metrics), next(iter(metrics), _HEADLINES[0]))


def source_role(records: Sequence[Record]) -> str:
    """What a row's source does: a classifier was trained on it; in retrieval it is what searches."""
    kinds = {(record.config.get("task") or {}).get("kind") for record in records}
    return "source" if kinds and kinds <= {"retrieval", "geometry"} else "classifier"


def encoder_order(pairs: Iterable[Pair]) -> list[str]:
    """The encoders in the order in which pairs (source, target) name them."""
    return list(dict.fromkeys(name for pair in pairs for name in pair))


def mean_of(values: Sequence[float]) -> float:
    """The mean, exactly rounded; an infinity or NaN among the values stays one."""
    return statistics.fmean(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def _runs(records: Sequence[Record], metric: str) -> dict[str, list[Run]]:
    """method -> one {(target, source): value} per seed; `absolute` first, then in order of appearance."""
    seen: dict[tuple[str, str], str] = {}
    runs: dict[str, list[Run]] = {ABSOLUTE: []}
    for record in records:
        claim = (record.method, repr(record.config.get("seed")))
        if seen.get(claim) == record.key:
            continue
        if claim in seen:
            raise ValueError(
                f"two different runs of {record.method} with seed {claim[1]} belong in different tables: "
                f"records {seen[claim]} and {record.key}"
            )
        seen[claim] = record.key
        values = {(row.target, row.source): row.value for row in record.rows if row.metric == metric}
        runs.setdefault(record.method, []).append(values)
    return {method: values for method, values in runs.items() if values}


def _pairs(runs: dict[str, list[Run]]) -> list[Pair]:
    """Every (target, source) that any run has, grouped by target."""
    present = dict.fromkeys(pair for values in runs.values() for run in values for pair in run)
    order = encoder_order((source, target) for target, source in present)
    return [(target, source) for target in order for source in order if (target, source) in present]


def _cell(runs: list[Run], pairs: Sequence[Pair]) -> Cell | None:
    """Mean over the pairs within a run, then over the runs that have any of them.

    A run that has some of the pairs only yields no value: it is not comparable with the others.
    """
    having = [run for run in runs if any(pair in run for pair in pairs)]
    if not having or any(pair not in run for run in having for pair in pairs):
        return None
    values = [mean_of([run[pair] for pair in pairs]) for run in having]
    std = statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan
    return Cell(mean_of(values), std, len(values))


def _closing(runs: dict[str, list[Run]], pairs: Sequence[Pair]) -> list[Line]:
    """The means over the pairs of different encoders and over those of the same encoder."""
    kinds = {
        OFF_DIAGONAL: [pair for pair in pairs if pair[0] != pair[1]],
        MATCHING: [pair for pair in pairs if pair[0] == pair[1]],
    }
    return [
        Line(MEAN, kind, tuple(_cell(values, chosen) for values in runs.values()), closing=True)
        for kind, chosen in kinds.items()
        if chosen
    ]


def _mark_best(line: Line, columns: Sequence[Column]) -> Line:
    """Mark the best cells besides `absolute`, which is not zero-shot; equal as printed is a tie."""
    pairs = list(zip(line.cells, columns, strict=True))
    measure = columns[0].measure
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


def _title(records: Sequence[Record], metric: str) -> str:
    tasks = list(dict.fromkeys(record.task for record in records))
    if len(tasks) > 1:
        raise ValueError(f"one table cannot hold several tasks: {', '.join(tasks)}")
    return f"{tasks[0] if tasks else 'no records'}: {measure_of(metric).label}"


def _legend(table: Table, metric: str) -> str:
    counts = {cell.n for line in table.rows for cell in line.cells if cell}
    unit = measure_of(metric).unit
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {unit}"
    if len(counts) == 1:
        return f"mean ± std over {table.seeds} seeds, {unit}"
    return f"mean ± std over {table.seeds} seeds (n where it is fewer), {unit}"
