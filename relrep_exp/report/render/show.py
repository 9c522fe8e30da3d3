"""What a run prints when it has ended."""

from __future__ import annotations

from pathlib import Path

from relrep_exp.report.measures import measure_of
from relrep_exp.report.render.terminal import to_terminal
from relrep_exp.report.tables.cells import mean_of
from relrep_exp.report.tables.pair_tables import headline
from relrep_exp.report.tables.summary import run_table
from relrep_exp.store.records import Record


def run_line(record: Record, number: int, seconds: float, fresh: bool) -> None:
    """One line of a sweep: number, method, seed, the mean of its headline metric between encoders, time."""
    metric = headline([record])
    across = [row.value for row in record.rows if row.metric == metric and row.source != row.target]
    within = [row.value for row in record.rows if row.metric == metric and row.source == row.target]
    where, values = ("between", across) if across else ("within", within)
    took = f"{seconds:.1f} s" if fresh else "cached"
    name = "F1" if metric == "f1_weighted" else measure_of(metric).label
    score = f"{name} {where} encoders {measure_of(metric).text(mean_of(values)):>6}"
    print(f"#{number:<3} {record.method:<18} seed={record.config['seed']:<3} {score}   {took}", flush=True)


def run_report(record: Record, path: Path, seconds: float, fresh: bool) -> None:
    """The table of a single run, and where its record is."""
    to_terminal(run_table(record))
    phases = ", ".join(f"{phase} {taken:.1f} s" for phase, taken in record.timings.items())
    print(
        f"computed in {seconds:.1f} s ({phases})" if fresh else "read from the record: nothing was computed"
    )
    print(f"record: {path}")
