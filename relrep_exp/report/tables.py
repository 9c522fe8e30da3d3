"""The comparison table: methods side by side, one row per pair of encoders, as in Table 1.

Nothing heavy is imported here: the closing table of a cached sweep is wanted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relrep_exp.report.cells import (
    ABSOLUTE,
    RANKING,
    Cell,
    Column,
    Line,
    Table,
    cell_of,
    mark_best,
    mean_of,
    seeds_legend,
)
from relrep_exp.report.measures import measure_of
from relrep_exp.report.points import base_points

if TYPE_CHECKING:
    from relrep_exp.report.points import Point
    from relrep_exp.schema import ExperimentConfig
    from relrep_exp.store.records import Record

MEAN = "mean"
OFF_DIAGONAL = "off-diagonal"
MATCHING = "matching"

Pair = tuple[str, str]
Run = dict[Pair, float]

_HEADLINES = ("f1_weighted", "mse", "rr_cosine", "recall@1")


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
    rows = tuple(mark_best(line, columns) for line in lines + _closing(runs, pairs))
    ranking = RANKING if measure_of(metric).better else ""
    role = source_role(records)
    names, fields = ("test encoder", role), ("test_encoder", f"{role}_encoder")
    table = Table(_title(records, metric), columns, rows, "", names, fields, ranking)
    return replace(table, legend=seeds_legend(table, measure_of(metric).unit))


def pairs_table(experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """The comparison of an experiment's runs, less its variations, in its metric; as Table 1 has it.

    Raises:
        ValueError: as of `comparison`.
    """
    return comparison(named_records(base_points(points)), experiment.metric)


def named_records(points: Sequence[Point]) -> list[Record]:
    """The records of an experiment, each once, with their methods as the experiment calls them."""
    named = {(point.method, point.record.key): replace(point.record, method=point.method) for point in points}
    return list(named.values())


def headline(records: Sequence[Record]) -> str:
    """The metric that a comparison of these records shows: a known headline, or else their first."""
    metrics = dict.fromkeys(row.metric for record in records for row in record.rows)
    return next((name for name in _HEADLINES if name in metrics), next(iter(metrics), _HEADLINES[0]))


def source_role(records: Sequence[Record]) -> str:
    """What a row's source does: a classifier or decoder was trained on it; in retrieval it searches."""
    kinds = {(record.config.get("task") or {}).get("kind") for record in records}
    if kinds == {"reconstruction"}:
        return "decoder"
    return "source" if kinds and kinds <= {"retrieval", "geometry"} else "classifier"


def encoder_order(pairs: Iterable[Pair]) -> list[str]:
    """The encoders in the order in which pairs (source, target) name them."""
    return list(dict.fromkeys(name for pair in pairs for name in pair))


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
    return cell_of([mean_of([run[pair] for pair in pairs]) for run in having])


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


def _title(records: Sequence[Record], metric: str) -> str:
    tasks = list(dict.fromkeys(record.task for record in records))
    if len(tasks) > 1:
        raise ValueError(f"one table cannot hold several tasks: {', '.join(tasks)}")
    return f"{tasks[0] if tasks else 'no records'}: {measure_of(metric).label}"
