"""Make the comparison table: methods side by side, one row per pair of encoders, as in Tables 1 and 3.

Nothing heavy is imported here: the closing table of a cached sweep is wanted at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.best import contests_of_rows, mark_best, with_uncertainty
from relrep_exp.report.tables.measures import ERROR, Measure, mean_of, measure_of
from relrep_exp.report.tables.paper_numbers import paper_table
from relrep_exp.report.tables.points import (
    base_points,
    gaps_of_methods,
    is_absolute,
    keeps,
    methods_of,
    missing_cell,
)
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
    Cell,
    Column,
    Line,
    Score,
    Table,
    cell_of,
    seeds_legend,
)

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Place, Point
    from relrep_exp.store.records import Record

Values = Mapping[str, Mapping[Pair, float]]  # metric -> pair -> value
Runs = Mapping[str, Mapping[tuple[str, Any], Values]]  # method -> key of the record and seed -> its values


def comparison(records: Sequence[Record], metric: str = "f1_weighted") -> Table:
    """Compare every method on every pair of encoders, mean and std over the seeds.

    Args:
        records: runs of one task that differ in nothing but method and seed; a record may come twice.
        metric: which of the rows' metrics.

    Raises:
        ValueError: two different runs claim the same method and seed, or the runs are of several tasks:
            their average would mean nothing.
    """
    runs, fields, measures = _runs(records), _fields(records), [measure_of(metric)]
    return _table(records, runs, {}, [ABSOLUTE], _pairs(runs, measures, fields), measures, fields)


def pairs_table(experiment: ExperimentConfig, points: Sequence[Point], gaps: Sequence[Place] = ()) -> Table:
    """Compare an experiment's runs, less its variations, in its metrics; as Tables 1 and 3 have it.

    Every method has its column. Where no run has a record, the rows are the paper's.

    Raises:
        ValueError: as of `comparison`.
        UserError: the paper has no such numbers.
    """
    records, lacking = named_records(base_points(points)), gaps_of_methods(gaps)
    found = _runs(records)
    runs = {method: found.get(method, {}) for method in methods_of(experiment, points, gaps)}
    missing = {method: missing_cell(lacking.get(method, [])) for method, own in runs.items() if not own}
    own = [method for method in runs if is_absolute(experiment, method)]
    measures = [measure_of(metric) for metric in experiment.metrics or [experiment.metric]]
    fields, pairs = _fields(records), []
    if records:
        pairs = _pairs(runs, measures, fields, complete=bool(missing))
    elif experiment.paper:
        paper = paper_table(experiment.paper.numbers)
        fields = paper.fields
        planned = [(b, a) if fields == RETRIEVAL else (a, b) for a, b in paper.places]
        pairs = [pair for pair in planned if keeps(experiment, *pair)]
    return _table(records, runs, missing, own, pairs, measures, fields)


def named_records(points: Sequence[Point]) -> list[Record]:
    """List the records of an experiment, each once, with their methods as the experiment calls them."""
    named = {(point.method, point.record.key): replace(point.record, method=point.method) for point in points}
    return list(named.values())


def _table(
    records: Sequence[Record],
    runs: Runs,
    missing: Mapping[str, Cell],
    own: Collection[str],
    pairs: Sequence[Pair],
    measures: Sequence[Measure],
    fields: Pair,
) -> Table:
    """Lay out a row for each pair, then their means; a column for each method and measure.

    Args:
        records: those that are compared.
        runs: of each method, in the order of the columns.
        missing: the cell of a method without any run.
        own: the methods that read nothing but their own encoder.
        pairs: (target, source) of each row.
        measures: what is shown of each method.
        fields: what a CSV calls the names of the rows' two encoders.
    """
    tasks = list(dict.fromkeys(record.task for record in records)) or ["no records"]
    if len(tasks) > 1:
        raise ValueError(f"one table cannot hold several tasks: {', '.join(tasks)}")
    columns = tuple(
        Column(f"{method} {one.label}" if len(measures) > 1 else method, method, one, method in own)
        for method in runs
        for one in measures
    )

    def cells(pairs: Sequence[Pair], across: bool) -> tuple[Cell | None, ...]:
        found: list[Cell | None] = []
        for column in columns:
            done = runs[column.method]
            if across and column.own:
                found.append(None)
            elif done:
                found.append(_cell(done, column.measure.name, pairs))
            else:
                found.append(missing.get(column.method))
        return tuple(found)

    rows = []
    for target, source in pairs:
        names = (source, target) if fields == RETRIEVAL else (target, source)
        rows.append(Line(*names, cells([(target, source)], target != source)))
    for kind in (OFF_DIAGONAL, MATCHING):
        of_kind = [pair for pair in pairs if (pair[0] == pair[1]) == (kind == MATCHING)]
        if of_kind or (not pairs and missing):
            rows.append(Line(MEAN, kind, cells(of_kind, kind == OFF_DIAGONAL), closing=True))
    first, second = (field.removesuffix("_encoder").replace("_", "-") for field in fields)
    names = (first, "zero-shot encoder") if fields == RETRIEVAL else (f"{first} encoder", second)
    title = f"{tasks[0]}: {', '.join(measure.label for measure in measures)}"
    marked, ranking = mark_best(rows, contests_of_rows(rows, columns))
    table = with_uncertainty(Table(title, columns, marked, "", names, fields, ranking))
    return replace(table, legend=seeds_legend(table, ", ".join(measure.unit for measure in measures)))


def _cell(runs: Mapping[tuple[str, Any], Values], metric: str, pairs: Sequence[Pair]) -> Cell | None:
    """Take the mean over the pairs within a run, then over the runs that have any of them.

    A run that has some of the pairs only yields no value: it is not comparable with the others.
    """
    scores = []
    for (key, seed), values in runs.items():
        run, errors = values.get(metric, {}), values.get(metric + ERROR, {})
        if not any(pair in run for pair in pairs):
            continue
        if not all(pair in run for pair in pairs):
            return Cell(math.nan, math.nan, 0, missing="missing: some runs lack pairs")
        error = mean_of([errors.get(pair, math.nan) for pair in pairs])
        scores.append(Score(key, seed, {pair: run[pair] for pair in pairs}, error))
    return cell_of(scores)


def _fields(records: Sequence[Record]) -> Pair:
    """Name a row's two encoders in a CSV: retrieval goes by the source, the rest by the test encoder."""
    if kinds(records) == {"retrieval"}:
        return RETRIEVAL
    return "test_encoder", f"{source_role(records)}_encoder"


def _runs(records: Sequence[Record]) -> dict[str, dict[tuple[str, Any], Values]]:
    """Sort the runs by method, one per seed; `absolute` first, then in order of appearance."""
    seen: dict[tuple[str, str], str] = {}
    runs: dict[str, dict[tuple[str, Any], Values]] = {ABSOLUTE: {}}
    for record in records:
        claim = (record.method, repr(record.config.get("seed")))
        if seen.setdefault(claim, record.key) != record.key:
            raise ValueError(
                f"two different runs of {record.method} with seed {claim[1]} belong in different tables: "
                f"records {seen[claim]} and {record.key}"
            )
        values: dict[str, dict[Pair, float]] = {}
        for row in record.rows:
            values.setdefault(row.metric, {})[row.target, row.source] = row.value
        runs.setdefault(record.method, {})[record.key, record.config.get("seed")] = values
    return {method: own for method, own in runs.items() if own}


def _pairs(runs: Runs, measures: Sequence[Measure], fields: Pair, complete: bool = False) -> list[Pair]:
    """List every pair that any run has, grouped by its first name.

    Where runs with a classifier are `complete`d, what is known of one encoder alone shows which pairs the
    missing methods would have.
    """
    present: dict[Pair, None] = {}
    for own in runs.values():
        for values in own.values():
            for measure in measures:
                present |= dict.fromkeys(values.get(measure.name, {}))
    order = encoder_order((source, target) for target, source in present)
    if fields == RETRIEVAL:
        return [(target, source) for source in order for target in order if (target, source) in present]
    every = complete and all(target == source for target, source in present)
    return [(target, source) for target in order for source in order if every or (target, source) in present]
