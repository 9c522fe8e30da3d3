"""Keep what an experiment ended with: its runs and their places, from which its table and figure are made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.errors import UserError
from relrep_exp.report.render.formats import to_csv, to_latex, to_markdown
from relrep_exp.report.tables.axis_tables import axis_table, methods_table, metrics_table, variations_table
from relrep_exp.report.tables.compare import beside_cited, beside_paper
from relrep_exp.report.tables.pair_tables import pairs_table
from relrep_exp.report.tables.points import Place, Point, said, selected
from relrep_exp.report.tables.table import Table
from relrep_exp.store.files import seal, unseal, write_atomic

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

FILE = "experiment.json"
_SCHEMA = 1
_NO_CHANGE = {"experiment", "profile", "seed", "paths", "runtime", "logger", "overwrite", "hydra"}

_TABLES: dict[str, Callable[..., Table]] = {  # from (experiment, points, gaps)
    "pairs": pairs_table,
    "metrics": metrics_table,
    "axis": axis_table,
    "methods": methods_table,
    "variations": variations_table,
}
# What makes a `Drawing` from (experiment, points). Named, not imported: matplotlib would come with it.
_FIGURES = {
    "samples": "record_figures:samples_figure",
    "tradeoff": "line_figure:tradeoff_figure",
    "lines": "line_figure:lines_figure",
    "rescaling": "line_figure:rescaling_figure",
    "sensitivity": "sensitivity_figure:sensitivity_figure",
    "anchors": "anchor_figure:anchors_figure",
    "invariances": "geometry_figures:invariances_figure",
    "spaces": "geometry_figures:spaces_figure",
    "reconstructions": "reconstruction_figure:reconstructions_figure",
}


@dataclass(frozen=True)
class Closing:
    """An experiment in one form, and every run that belongs to it.

    Attributes:
        experiment: in the form of its profile.
        profile: paper or local.
        command: what makes all of it again.
        places: its runs.
    """

    experiment: ExperimentConfig
    profile: str
    command: str
    places: tuple[Place, ...]

    @property
    def changes(self) -> list[str]:
        """What was asked for besides the experiment as its file has it, and so may change its numbers."""
        texts = [text for text in shlex.split(self.command)[2:] if "=" in text or text.startswith("~")]
        return [text for text in texts if re.split(r"[=./]", text.lstrip("+~"))[0] not in _NO_CHANGE]

    def sort_out(self, records: Mapping[str, Record]) -> tuple[list[Point], list[Place]]:
        """Split the runs into those that have a record, by key, and those that have none."""
        points, gaps = [], []
        for place in self.places:
            if (record := records.get(place.key)) is not None:
                points.append(Point(place.method, place.at, place.varied, record))
            else:
                gaps.append(replace(place, reason=place.reason or "not run yet"))
        return points, gaps

    def save(self, folder: Path) -> None:
        """Write `experiment.json`.

        Raises:
            UserError: the folder cannot be written.
        """
        fields = _CLOSING.dump_python(self, mode="json")
        write_atomic(folder / FILE, seal({"schema": _SCHEMA, **fields}).encode())

    @staticmethod
    def load(path: Path) -> Closing:
        """Read what `save` wrote.

        Raises:
            CorruptError: it is not what was written.
            OtherSchemaError: another version wrote it.
        """
        fields: dict[str, Any] = unseal(path.read_bytes(), _SCHEMA)
        del fields["schema"]
        return _CLOSING.validate_python(fields)


_CLOSING = TypeAdapter(Closing)


def write_experiment(closing: Closing, records: Mapping[str, Record], folder: Path) -> Table:
    """Write `table.md`, `.csv` and `.tex`, `figure.png`, `.svg` and `.csv` with what the figure draws.

    Beside them `experiment.json`, from which all of it can be made again. Where the figure cannot be drawn,
    the table stands alone and says why.

    Args:
        closing: what is shown, and which runs belong to it.
        records: those that there are, by key; others may be among them.
        folder: created if need be; files of an earlier call are replaced.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the folder cannot be written, or the paper has no such numbers.
    """
    closing.save(folder)
    table, points = experiment_table(closing, records)
    _write_table(table, folder)  # before the figure, which a defect of ours may end
    if why := _write_figure(closing.experiment, points, folder):
        table = replace(table, remarks=(*table.remarks, f"No figure: {why}."))
    _write_table(table, folder)
    return table


def experiment_table(closing: Closing, records: Mapping[str, Record]) -> tuple[Table, list[Point]]:
    """Make the table; return the runs as it shows them, too.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the paper has no such numbers.
    """
    experiment = closing.experiment
    found, gaps = closing.sort_out(records)
    if not found and closing.profile != "paper":
        experiment = replace(experiment, paper=None)  # no record says which encoders stand in for the paper's
    points = selected(experiment, found)
    table = _TABLES[experiment.table](experiment, points, gaps)
    remarks = said(experiment)
    if experiment.note:
        remarks.append(experiment.note)
    if closing.changes:
        remarks.append(f"Not as its file has it: {' '.join(closing.changes)}.")
    table = replace(
        table,
        title=f"{experiment.title}: {table.title}",
        missing=tuple(f"{' '.join(gap.words)}: {gap.reason}; {gap.command}" for gap in gaps),
        remarks=tuple(remarks),
    )
    return beside_cited(beside_paper(table, experiment, points, closing.changes), experiment, points), points


def _write_table(table: Table, folder: Path) -> None:
    for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
        write_atomic(folder / f"table.{suffix}", text.encode())


def _write_figure(experiment: ExperimentConfig, points: Sequence[Point], folder: Path) -> str:
    """Draw the figure; return why there is none, empty where there is one."""
    why = "no run has a record yet"
    if points:
        try:
            module, function = _FIGURES[experiment.figure].split(":")
            drawing = getattr(import_module(f"relrep_exp.report.figures.{module}"), function)(
                experiment, points
            )
        except UserError as error:
            why = "; ".join(f"{problem.what} ({problem.remedy})" for problem in error.problems)
        else:
            drawing.save(folder, "figure")
            return ""
    for kind in ("png", "svg", "csv"):  # a figure of an earlier call would pass for a figure of these records
        (folder / f"figure.{kind}").unlink(missing_ok=True)
    return why
