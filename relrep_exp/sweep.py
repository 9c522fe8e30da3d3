"""Many runs: launched by Hydra's launcher, told line by line, closed with their table from records."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relrep_exp.errors import UserError
from relrep_exp.identity import record_key
from relrep_exp.plan import Run
from relrep_exp.store.records import Record, RecordStore

Launch = Callable[[list[list[str]]], Sequence[Any]]


def run_all(runs: Sequence[Run], launch: Launch) -> int:
    """Launch the runs and close with their table.

    Args:
        runs: the plan.
        launch: Hydra's launcher; takes the overrides of each job, returns one job result each.

    Returns:
        0 when every run has its record, 130 after Ctrl-C, else the worst exit code of the runs.
    """
    start = time.perf_counter()
    try:
        code = max((_exit_code(job) for job in launch([list(run.overrides) for run in runs])), default=0)
    except KeyboardInterrupt:
        code = 130
    found = [record_of(run) for run in runs]
    missing = [run for run, record in zip(runs, found, strict=True) if record is None]
    records = list({record.key: record for record in found if record is not None}.values())
    close(runs, records, missing)
    if code == 130:
        done = len(runs) - len(missing)
        print(
            f"interrupted: {done} of {len(runs)} runs are finished and kept; the same command goes on",
            file=sys.stderr,
        )
    print(f"{len(records)} records in {time.perf_counter() - start:.1f} s: {_records_folder(runs)}")
    return code or (1 if missing else 0)


def record_of(run: Run) -> Record | None:
    """The record of a run, if there is one."""
    return RecordStore(_records_folder([run])).find(record_key(run.config))


def close(runs: Sequence[Run], records: Sequence[Record], missing: Sequence[Run]) -> None:
    """Print the closing tables and write an experiment's files."""
    from relrep_exp.report.experiment import write_experiment
    from relrep_exp.report.groups import homogeneous
    from relrep_exp.report.render import to_terminal
    from relrep_exp.report.tables import comparison, headline

    if not records:
        return
    experiment = runs[0].config.experiment
    if experiment is None:
        for group in homogeneous(records):
            to_terminal(comparison(group.records, headline(group.records)))
        return
    folder = Path(runs[0].config.paths.outputs) / "report" / experiment.name
    told = [f"{run.label}: {run.command}" for run in missing]
    groups = homogeneous(records)
    for number, group in enumerate(groups):  # several where the user swept over something besides
        alone = len(groups) == 1
        title = experiment.title if alone else f"{experiment.title}: {group.title}"
        part, members = (folder, records) if alone else (folder / str(number), group.records)
        to_terminal(write_experiment(title, members, part, told, experiment.metric))
        print(f"table and figure: {part}")


def _exit_code(job: Any) -> int:
    """0 for a finished job, 2 for a user's error (told by the job), 1 for ours (shown here)."""
    failure = getattr(job, "_return_value", None)
    if not isinstance(failure, BaseException):
        return 0
    if isinstance(failure, UserError):
        return 2
    traceback.print_exception(failure)
    return 1


def _records_folder(runs: Sequence[Run]) -> Path:
    return Path(runs[0].config.paths.outputs) / "records"
