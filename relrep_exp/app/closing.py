"""How the parts of a plan end: in an experiment's table and figure, or in a sweep's tables, from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from relrep_exp.app.plan import Part, Run
from relrep_exp.app.track import log_experiment
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.errors import UserError
from relrep_exp.report.experiment import Closing, experiment_table, write_experiment
from relrep_exp.report.render.terminal import to_terminal
from relrep_exp.report.tables.groups import homogeneous
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.points import Place
from relrep_exp.report.tables.run_table import headline
from relrep_exp.store.records import Record


def begin(part: Part, records: Mapping[str, Record]) -> None:
    """Write an experiment's closings before it starts, so that a killed one says which runs it lacks.

    Args:
        part: of the plan.
        records: that are there, by the run's place.

    Raises:
        UserError: they cannot be written.
    """
    for closing, folder in closings(part, records, {}).values():
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
    if part.experiment is None:
        ours = {run.place: records[run.place] for run in part.runs if run.place in records}
        for group in homogeneous(ours.values()):
            to_terminal(comparison(group.records, headline(group.records)))
    by_key = {record.key: record for record in records.values()}
    for name, (closing, folder) in closings(part, records, reasons).items():
        try:
            table = write_experiment(closing, by_key, folder)
        except UserError:  # what cannot be written can still be read
            to_terminal(experiment_table(closing, by_key)[0])
            raise
        to_terminal(table)
        print(f"table and figure: {folder}")
        log_experiment(part.runs[0].config, name, table, folder)


def closings(
    part: Part, records: Mapping[str, Record], reasons: Mapping[str, str]
) -> dict[str, tuple[Closing, Path]]:
    """Sort an experiment's runs into closings, by their folders below report/; none outside an experiment.

    There is one, unless something besides the seed and the experiment's own x is swept over.
    """
    experiment = part.experiment
    if experiment is None:
        return {}
    config, found = part.runs[0].config, {}
    tables = tables_of(part.runs, experiment)
    for number, (title, runs) in enumerate(tables.items()):
        places = []
        for run in runs:
            reason = "" if run.place in records else reasons.get(run.place, "not run yet")
            key = run.known_key or ""  # none where a file that belongs to it is missing
            places.append(Place(run.arm.method, run.arm.at, run.arm.varied, key, run.command, reason))
        whole = f"{experiment.title}: {title}" if title else experiment.title
        shown = replace(experiment, title=whole, profiles={})  # it is in the form of one already
        name = f"{part.folder}/{number}" if len(tables) > 1 else part.folder
        closing = Closing(shown, config.profile, part.command, tuple(places))
        found[name] = (closing, Path(config.paths.outputs) / "report" / name)
    return found


def tables_of(runs: Sequence[Run], experiment: ExperimentConfig) -> dict[str, list[Run]]:
    """Sort the runs by the table that can hold them: by what sets them apart besides the seed and x."""
    keys = dict.fromkeys(key for run in runs for key in run.arm.at if key not in ("seed", experiment.x))
    apart = [key for key in keys if len({str(run.arm.at.get(key)) for run in runs}) > 1]
    tables: dict[str, list[Run]] = {}
    for run in runs:
        title = ", ".join(f"{key}={run.arm.at[key]}" for key in apart if key in run.arm.at)
        tables.setdefault(title, []).append(run)
    return tables
