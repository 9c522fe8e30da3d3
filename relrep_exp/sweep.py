"""Many runs: launched by Hydra's launcher, told line by line, closed with their table from records."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from relrep_exp.config import of_profile
from relrep_exp.identity import record_key
from relrep_exp.launching import Launch, codes, launch_all
from relrep_exp.plan import Run
from relrep_exp.schema import ExperimentConfig
from relrep_exp.store.records import Record, RecordStore


def run_all(runs: Sequence[Run], launch: Launch) -> int:
    """Launch the runs and close with their table.

    Args:
        runs: the plan.
        launch: Hydra's launcher.

    Returns:
        0 when every run has its record, 130 after Ctrl-C, else the worst exit code of the runs.
    """
    start = time.perf_counter()
    try:
        code = codes(launch_all(runs, launch))
    except KeyboardInterrupt:
        code = 130
    found = [record_of(run) for run in runs]
    missing = [run for run, record in zip(runs, found, strict=True) if record is None]
    records = _distinct(found)
    close(runs, found)
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


def close(runs: Sequence[Run], found: Sequence[Record | None]) -> None:
    """Print the closing tables and write an experiment's files."""
    from relrep_exp.report.groups import homogeneous
    from relrep_exp.report.render import to_terminal
    from relrep_exp.report.tables import comparison, headline

    if runs[0].config.experiment is not None:
        _close_experiment(runs, found)
        return
    for group in homogeneous(_distinct(found)):
        to_terminal(comparison(group.records, headline(group.records)))


def _close_experiment(runs: Sequence[Run], found: Sequence[Record | None]) -> None:
    """One table and figure, or several where the user swept over something that the experiment does not."""
    from relrep_exp.report.closing import Closing, Place
    from relrep_exp.report.experiment import write_experiment
    from relrep_exp.report.render import to_terminal

    experiment = runs[0].config.experiment
    assert experiment is not None
    profile = runs[0].config.profile
    experiment, _ = of_profile(experiment, profile)
    command = f"python run.py experiment={experiment.name} profile={profile}"
    folder = Path(runs[0].config.paths.outputs) / "report" / experiment.name
    parts = _parts(runs, experiment)
    keys = [record.key if record else record_key(run.config) for run, record in zip(runs, found, strict=True)]
    records = {record.key: record for record in _distinct(found)}
    for number, (title, members) in enumerate(parts.items()):
        shown = replace(experiment, title=f"{experiment.title}: {title}") if title else experiment
        part = folder / str(number) if len(parts) > 1 else folder
        places = tuple(
            Place(r.arm.method, r.arm.at, r.arm.varied, keys[n], r.command, "" if found[n] else "not run yet")
            for n, r in members
        )
        to_terminal(write_experiment(Closing(shown, profile, command, places), records, part))
        print(f"table and figure: {part}")


def _parts(runs: Sequence[Run], experiment: ExperimentConfig) -> dict[str, list[tuple[int, Run]]]:
    """The runs, numbered, that one table can hold, by what sets them apart from the others.

    There is one part, unless something besides the seed and the experiment's own x is swept over.
    """
    keys = dict.fromkeys(key for run in runs for key in run.arm.at if key not in ("seed", experiment.x))
    apart = [key for key in keys if len({str(run.arm.at.get(key)) for run in runs}) > 1]
    parts: dict[str, list[tuple[int, Run]]] = {}
    for number, run in enumerate(runs):
        title = ", ".join(f"{key}={run.arm.at[key]}" for key in apart if key in run.arm.at)
        parts.setdefault(title, []).append((number, run))
    return parts


def _distinct(found: Sequence[Record | None]) -> list[Record]:
    """Every record once."""
    return list({record.key: record for record in found if record is not None}.values())


def _records_folder(runs: Sequence[Run]) -> Path:
    return Path(runs[0].config.paths.outputs) / "records"
