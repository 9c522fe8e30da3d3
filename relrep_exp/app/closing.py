"""How the parts of a plan end: in an experiment's table and figure, or in a sweep's tables, from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relrep_exp.app.plan import Part, Run
from relrep_exp.config.schema import Config, ExperimentConfig
from relrep_exp.errors import UserError
from relrep_exp.report.experiment import Closing, Place, experiment_table, write_experiment
from relrep_exp.report.render.terminal import to_terminal
from relrep_exp.report.tables.groups import homogeneous
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.run_table import headline
from relrep_exp.store.records import Record

NOT_RUN = "not run yet"


def begin(part: Part, records: Mapping[str, Record]) -> None:
    """Write an experiment's closings before it starts, so that a killed one says which runs it lacks.

    Args:
        part: of the plan.
        records: that are there, by the run's place.

    Raises:
        UserError: they cannot be written.
    """
    for closing, folder in closings(part, records, {}):
        closing.save(folder)


def close(part: Part, records: Mapping[str, Record], reasons: Mapping[str, str]) -> None:
    """Print the closing tables and write an experiment's files.

    Args:
        part: of the plan.
        records: by the run's place.
        reasons: why there is no record, by the run's place.

    Raises:
        UserError: the files cannot be written.
    """
    if part.experiment is not None:
        _close_experiment(part, records, reasons)
        return
    ours = {run.place: records[run.place] for run in part.runs if run.place in records}
    for group in homogeneous(ours.values()):
        to_terminal(comparison(group.records, headline(group.records)))


def closings(
    part: Part, records: Mapping[str, Record], reasons: Mapping[str, str]
) -> list[tuple[Closing, Path]]:
    """An experiment's closings with their folders: one, or several where it is swept over more."""
    experiment = part.experiment
    if experiment is None:
        return []
    config = part.runs[0].config
    folder = reports(config) / part.folder
    groups = tables_of(part.runs, experiment)
    found = []
    for number, (title, members) in enumerate(groups.items()):
        whole = f"{experiment.title}: {title}" if title else experiment.title
        shown = replace(experiment, title=whole, profiles={})  # it is in the form of one already
        places = tuple(_place(run, records, reasons) for run in members)
        closing = Closing(shown, config.profile, part.command, places)
        found.append((closing, folder / str(number) if len(groups) > 1 else folder))
    return found


def reports(config: Config) -> Path:
    """Where experiments have their folders."""
    return Path(config.paths.outputs) / "report"


def tables_of(runs: Sequence[Run], experiment: ExperimentConfig) -> dict[str, list[Run]]:
    """The runs that one table can hold, by what sets them apart from the others.

    There is one table, unless something besides the seed and the experiment's own x is swept over.
    """
    keys = dict.fromkeys(key for run in runs for key in run.arm.at if key not in ("seed", experiment.x))
    apart = [key for key in keys if len({str(run.arm.at.get(key)) for run in runs}) > 1]
    tables: dict[str, list[Run]] = {}
    for run in runs:
        title = ", ".join(f"{key}={run.arm.at[key]}" for key in apart if key in run.arm.at)
        tables.setdefault(title, []).append(run)
    return tables


def _close_experiment(part: Part, records: Mapping[str, Record], reasons: Mapping[str, str]) -> None:
    from relrep_exp.app.track import log_experiment

    config = part.runs[0].config
    by_key = {record.key: record for record in records.values()}
    for closing, folder in closings(part, records, reasons):
        try:
            table = write_experiment(closing, by_key, folder)
        except UserError:  # what cannot be written can still be read
            to_terminal(experiment_table(closing, by_key)[0])
            raise
        to_terminal(table)
        print(f"table and figure: {folder}")
        log_experiment(config, str(folder.relative_to(reports(config))), table, folder)


def _place(run: Run, records: Mapping[str, Record], reasons: Mapping[str, str]) -> Place:
    """Where a run stands; its key is "" where a file that belongs to it is missing."""
    record = records.get(run.place)
    reason = "" if record is not None else reasons.get(run.place, NOT_RUN)
    return Place(run.arm.method, run.arm.at, run.arm.varied, run.known_key or "", run.command, reason)
