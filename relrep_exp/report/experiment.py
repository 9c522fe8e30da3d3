"""The files of one experiment: its table in three formats, and its figure with the numbers that it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.report.render import to_csv, to_latex, to_markdown
from relrep_exp.report.tables import Table, comparison
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.report.points import Point
    from relrep_exp.schema import ExperimentConfig
    from relrep_exp.store.records import Record


def write_experiment(
    experiment: ExperimentConfig, points: Sequence[Point], folder: Path, missing: Sequence[str] = ()
) -> Table:
    """Write `table.md`, `table.csv`, `table.tex`, and `samples.png` and `.svg` if any run has a view.

    Args:
        experiment: what is shown, and how.
        points: its finished runs.
        folder: created if need be; files of an earlier call are replaced.
        missing: descriptions of the runs that have no record; a note under the table names them.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the folder cannot be written.
    """
    records = list({point.record.key: point.record for point in points}.values())
    table = comparison(records, experiment.metric)
    table = replace(table, title=f"{experiment.title}: {table.title}", missing=tuple(missing))
    for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
        write_atomic(folder / f"table.{suffix}", text.encode())
    _write_samples(records, folder)
    return table


def _write_samples(records: Sequence[Record], folder: Path) -> None:
    if any(record.views for record in records):
        from relrep_exp.report.figures import samples_figure, save

        save(samples_figure(records), folder, "samples")
        return
    for kind in ("png", "svg"):  # a figure of an earlier call would pass for a figure of these records
        (folder / f"samples.{kind}").unlink(missing_ok=True)
