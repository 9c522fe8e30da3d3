"""The comparison table: methods side by side, one row per pair of encoders, as in Tables 1 and 3.

Nothing heavy is imported here: the closing table of a cached sweep is wanted at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relrep_exp.report.tables.paper_numbers import paper_table
from relrep_exp.report.tables.points import (
    base_gaps,
    base_points,
    by_method,
    is_absolute,
    keeps,
    methods_of,
    missing_cell,
)
from relrep_exp.report.tables.ranking import mark_best
from relrep_exp.report.tables.run_table import (
    MATCHING,
    MEAN,
    OFF_DIAGONAL,
    RETRIEVAL,
    Pair,
    encoder_order,
    kinds,
    source_role,
)
from relrep_exp.report.tables.table import (
    ABSOLUTE,
    RANKING,
    Cell,
    Column,
    Line,
    Measure,
    Table,
    cell_of,
    mean_of,
    measure_of,
    seeds_legend,
)

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Gap, Point
    from relrep_exp.store.records import Record


@dataclass(frozen=True)
class _Run:
    """The record's key, and metric -> pair -> value."""

    key: str
    values: Mapping[str, Mapping[Pair, float]]


@dataclass(frozen=True)
class _Grid:
    """What a comparison is laid out from.

    Attributes:
        runs: method -> one run a seed, in the order of the columns.
        missing: the cell of a method without any run.
        own: the methods that read nothing but their own encoder.
        pairs: the rows.
        measures: what is shown of each method.
        fields: the names of the rows' two encoders.
    """

    runs: Mapping[str, Sequence[_Run]]
    missing: Mapping[str, Cell]
    own: Collection[str]
    pairs: Sequence[Pair]
    measures: Sequence[Measure]
    fields: Pair

    def columns(self) -> tuple[Column, ...]:
        """A column for each method and measure."""
        several = len(self.measures) > 1
        return tuple(
            Column(f"{method} {measure.label}" if several else method, method, measure, method in self.own)
            for method in self.runs
            for measure in self.measures
        )

    def lines(self) -> list[Line]:
        """A row for each pair, then their means."""
        own = [Line(*self._names(pair), self._cells([pair])) for pair in self.pairs]
        kinds = {
            OFF_DIAGONAL: [pair for pair in self.pairs if pair[0] != pair[1]],
            MATCHING: [pair for pair in self.pairs if pair[0] == pair[1]],
        }
        shown = {kind: pairs for kind, pairs in kinds.items() if pairs or (not self.pairs and self.missing)}
        return own + [
            Line(MEAN, kind, self._cells(pairs, kind == OFF_DIAGONAL), closing=True)
            for kind, pairs in shown.items()
        ]

    def _names(self, pair: Pair) -> Pair:
        """A row's two names: the source comes first in retrieval."""
        return (pair[1], pair[0]) if self.fields == RETRIEVAL else pair

    def _cells(self, pairs: Sequence[Pair], across: bool | None = None) -> tuple[Cell | None, ...]:
        across = any(target != source for target, source in pairs) if across is None else across
        return tuple(
            None if across and method in self.own else self._cell(method, measure.name, pairs)
            for method in self.runs
            for measure in self.measures
        )

    def _cell(self, method: str, metric: str, pairs: Sequence[Pair]) -> Cell | None:
        """Mean over the pairs within a run, then over the runs that have any of them.

        A run that has some of the pairs only yields no value: it is not comparable with the others.
        """
        if not self.runs[method]:
            return self.missing.get(method)
        found = {run.key: run.values.get(metric, {}) for run in self.runs[method]}
        having = {key: run for key, run in found.items() if any(pair in run for pair in pairs)}
        if not having:
            return None
        if any(pair not in run for run in having.values() for pair in pairs):
            return Cell(math.nan, math.nan, 0, missing="missing: some runs lack pairs")
        return cell_of([mean_of([run[pair] for pair in pairs]) for run in having.values()], list(having))


def comparison(records: Sequence[Record], metric: str = "f1_weighted") -> Table:
    """Every method on every pair of encoders, mean and std over the seeds.

    Args:
        records: runs of one task that differ in nothing but method and seed; a record may come twice.
        metric: which of the rows' metrics.

    Raises:
        ValueError: two different runs claim the same method and seed, or the runs are of several tasks:
            their average would mean nothing.
    """
    runs = _runs(records)
    fields = _fields(records)
    measures = [measure_of(metric)]
    return _table(records, _Grid(runs, {}, [ABSOLUTE], _pairs(runs, measures, fields), measures, fields))


def pairs_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Gap] = ()) -> Table:
    """The comparison of an experiment's runs, less its variations, in its metrics; as Tables 1 and 3 have it.

    Every method has its column. Where no run has a record, the rows are the paper's.

    Raises:
        ValueError: as of `comparison`.
        UserError: the paper has no such numbers.
    """
    records, lacking = named_records(base_points(points)), by_method(base_gaps(gaps))
    found = _runs(records)
    runs = {method: found.get(method, []) for method in methods_of(experiment, points, gaps)}
    missing = {method: missing_cell(lacking.get(method, [])) for method, own in runs.items() if not own}
    own = [method for method in runs if is_absolute(experiment, method)]
    measures = [measure_of(metric) for metric in experiment.metrics or [experiment.metric]]
    fields = _fields(records) if records else _planned_fields(experiment)
    pairs = _pairs(runs, measures, fields, complete=bool(missing)) if records else _planned(experiment)
    return _table(records, _Grid(runs, missing, own, pairs, measures, fields))


def _table(records: Sequence[Record], grid: _Grid) -> Table:
    columns = grid.columns()
    rows = tuple(mark_best(line, columns) for line in grid.lines())
    ranking = RANKING if any(measure.better for measure in grid.measures) else ""
    title = f"{_task(records)}: {', '.join(measure.label for measure in grid.measures)}"
    table = Table(title, columns, rows, "", _headings(grid.fields), grid.fields, ranking)
    return replace(table, legend=seeds_legend(table, ", ".join(measure.unit for measure in grid.measures)))


def named_records(points: Sequence[Point]) -> list[Record]:
    """The records of an experiment, each once, with their methods as the experiment calls them."""
    named = {(point.method, point.record.key): replace(point.record, method=point.method) for point in points}
    return list(named.values())


def _fields(records: Sequence[Record]) -> Pair:
    """What a CSV calls the two names of a row: retrieval goes by the source, the rest by the test encoder."""
    if kinds(records) == {"retrieval"}:
        return RETRIEVAL
    return "test_encoder", f"{source_role(records)}_encoder"


def _headings(fields: Pair) -> Pair:
    first, second = (field.removesuffix("_encoder").replace("_", "-") for field in fields)
    return (first, "zero-shot encoder") if fields == RETRIEVAL else (f"{first} encoder", second)


def _planned_fields(experiment: ExperimentConfig) -> Pair:
    return paper_table(experiment.paper.numbers).fields if experiment.paper else _fields([])


def _planned(experiment: ExperimentConfig) -> list[Pair]:
    """The pairs (target, source) of the paper's rows."""
    if experiment.paper is None:
        return []
    paper = paper_table(experiment.paper.numbers)
    pairs = [(b, a) if paper.fields == RETRIEVAL else (a, b) for a, b in paper.places]
    return [pair for pair in pairs if keeps(experiment, *pair)]


def _runs(records: Sequence[Record]) -> dict[str, list[_Run]]:
    """The runs of each method, one per seed; `absolute` first, then in order of appearance."""
    seen: dict[tuple[str, str], str] = {}
    runs: dict[str, list[_Run]] = {ABSOLUTE: []}
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
        runs.setdefault(record.method, []).append(_run(record))
    return {method: values for method, values in runs.items() if values}


def _run(record: Record) -> _Run:
    values: dict[str, dict[Pair, float]] = {}
    for row in record.rows:
        values.setdefault(row.metric, {})[row.target, row.source] = row.value
    return _Run(record.key, values)


def _pairs(
    runs: Mapping[str, Sequence[_Run]], measures: Sequence[Measure], fields: Pair, complete: bool = False
) -> list[Pair]:
    """Every pair that any run has, grouped by its first name.

    Where runs with a classifier are `complete`d, what is known of one encoder alone shows which pairs the
    missing methods would have.
    """
    present = dict.fromkeys(
        pair
        for own in runs.values()
        for run in own
        for measure in measures
        for pair in run.values.get(measure.name, {})
    )
    order = encoder_order((source, target) for target, source in present)
    every = complete and all(target == source for target, source in present)
    if fields == RETRIEVAL:
        return [(target, source) for source in order for target in order if (target, source) in present]
    return [(target, source) for target in order for source in order if every or (target, source) in present]


def _task(records: Sequence[Record]) -> str:
    tasks = list(dict.fromkeys(record.task for record in records))
    if len(tasks) > 1:
        raise ValueError(f"one table cannot hold several tasks: {', '.join(tasks)}")
    return tasks[0] if tasks else "no records"
