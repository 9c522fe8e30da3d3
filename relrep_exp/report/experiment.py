"""The files of one experiment: its table in three formats, and its figure with the numbers that it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import UserError
from relrep_exp.report.render.latex import to_latex
from relrep_exp.report.render.table_csv import to_csv
from relrep_exp.report.render.terminal import to_markdown
from relrep_exp.report.tables.cited import beside_cited
from relrep_exp.report.tables.compare import beside_paper
from relrep_exp.report.tables.gaps import described
from relrep_exp.report.tables.selection import said, selected
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.closing_file import Closing
    from relrep_exp.report.tables.cells import Table
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

# What makes a `Table` from (experiment, points, gaps), and a `Drawing` from (experiment, points). Named, not
# imported: a figure's module brings matplotlib with it.
_TABLES = {
    "pairs": "relrep_exp.report.tables.pair_tables:pairs_table",
    "metrics": "relrep_exp.report.tables.axis_tables:metrics_table",
    "axis": "relrep_exp.report.tables.axis_tables:axis_table",
    "methods": "relrep_exp.report.tables.method_table:methods_table",
    "variations": "relrep_exp.report.tables.axis_tables:variations_table",
}
_FIGURES = {
    "samples": "relrep_exp.report.figures.drawing:samples_figure",
    "tradeoff": "relrep_exp.report.figures.tradeoff_figure:tradeoff_figure",
    "lines": "relrep_exp.report.figures.line_figure:lines_figure",
    "rescaling": "relrep_exp.report.figures.rescaling_figure:rescaling_figure",
    "sensitivity": "relrep_exp.report.figures.sensitivity_figure:sensitivity_figure",
    "anchors": "relrep_exp.report.figures.anchor_figure:anchors_figure",
    "invariances": "relrep_exp.report.figures.geometry_figures:invariances_figure",
    "spaces": "relrep_exp.report.figures.geometry_figures:spaces_figure",
    "reconstructions": "relrep_exp.report.figures.reconstructions:reconstructions_figure",
}


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
    """The table, and the runs as it shows them.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the paper has no such numbers.
    """
    experiment = closing.experiment
    found, gaps = closing.sort_out(records)
    if not found and closing.profile != "paper":
        experiment = replace(experiment, paper=None)  # no record says which encoders stand in for the paper's
    points = selected(experiment, found)
    table: Table = _maker(_TABLES[experiment.table])(experiment, points, gaps)
    missing = tuple(described(gap) for gap in gaps)
    changed = [f"Not as its file has it: {' '.join(closing.changes)}."] if closing.changes else []
    remarks = (*said(experiment), *([experiment.note] if experiment.note else []), *changed)
    table = replace(table, title=f"{experiment.title}: {table.title}", missing=missing, remarks=remarks)
    return beside_cited(beside_paper(table, experiment, points), experiment, points), points


def _maker(name: str) -> Callable[..., Any]:
    module, function = name.split(":")
    made: Callable[..., Any] = getattr(import_module(module), function)
    return made


def _write_table(table: Table, folder: Path) -> None:
    for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
        write_atomic(folder / f"table.{suffix}", text.encode())


def _write_figure(experiment: ExperimentConfig, points: Sequence[Point], folder: Path) -> str:
    """Why there is no figure; empty where there is one."""
    why = "no run has a record yet"
    if points:
        try:
            drawing = _maker(_FIGURES[experiment.figure])(experiment, points)
        except UserError as error:
            why = "; ".join(f"{problem.what} ({problem.remedy})" for problem in error.problems)
        else:
            from relrep_exp.report.figures.drawing import save_drawing

            save_drawing(drawing, folder, "figure")
            return ""
    for kind in ("png", "svg", "csv"):  # a figure of an earlier call would pass for a figure of these records
        (folder / f"figure.{kind}").unlink(missing_ok=True)
    return why
