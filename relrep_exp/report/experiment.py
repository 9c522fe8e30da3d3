"""The files of one experiment: its table in three formats, and its figure with the numbers that it draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import UserError
from relrep_exp.report.render import to_csv, to_latex, to_markdown
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.report.cells import Table
    from relrep_exp.report.points import Point
    from relrep_exp.schema import ExperimentConfig

# What makes a kind of table or figure from (experiment, points): a `Table`, a `Drawing`. Named, not imported:
# a figure's module brings matplotlib with it.
_TABLES = {
    "pairs": "relrep_exp.report.tables:pairs_table",
    "metrics": "relrep_exp.report.axis_tables:metrics_table",
    "axis": "relrep_exp.report.axis_tables:axis_table",
    "variations": "relrep_exp.report.axis_tables:variations_table",
}
_FIGURES = {
    "samples": "relrep_exp.report.figures:samples_figure",
    "lines": "relrep_exp.report.line_figure:lines_figure",
    "sensitivity": "relrep_exp.report.sensitivity_figure:sensitivity_figure",
    "anchors": "relrep_exp.report.anchor_figure:anchors_figure",
    "invariances": "relrep_exp.report.geometry_figures:invariances_figure",
    "spaces": "relrep_exp.report.geometry_figures:spaces_figure",
    "reconstructions": "relrep_exp.report.reconstructions:reconstructions_figure",
}


def write_experiment(
    experiment: ExperimentConfig, points: Sequence[Point], folder: Path, missing: Sequence[str] = ()
) -> Table:
    """Write `table.md`, `.csv` and `.tex`, and `figure.png`, `.svg` and `.csv` with what the figure draws.

    Where the figure cannot be drawn, the table stands alone and says why.

    Args:
        experiment: what is shown, and how.
        points: its finished runs.
        folder: created if need be; files of an earlier call are replaced.
        missing: descriptions of the runs that have no record; a note under the table names them.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the folder cannot be written.
    """
    shown, remarks = _among(points, experiment.encoders)
    table: Table = _maker(_TABLES[experiment.table])(experiment, shown)
    table = replace(table, title=f"{experiment.title}: {table.title}", missing=tuple(missing))
    _write_table(table, folder)  # before the figure, which a defect of ours may end
    if why := _write_figure(experiment, shown, folder):
        remarks = [*remarks, f"No figure: {why}."]
    table = replace(table, remarks=tuple(remarks))
    _write_table(table, folder)
    return table


def _maker(name: str) -> Callable[[ExperimentConfig, Sequence[Point]], Any]:
    module, function = name.split(":")
    made: Callable[[ExperimentConfig, Sequence[Point]], Any] = getattr(import_module(module), function)
    return made


def _among(points: Sequence[Point], encoders: Sequence[str]) -> tuple[list[Point], list[str]]:
    """The points with what happens among these encoders alone, and what there is to say about that."""
    if not encoders:
        return list(points), []
    kept = []
    for point in points:
        rows = [row for row in point.record.rows if {row.source, row.target} <= set(encoders)]
        views = [v for v in point.record.views if {v.get("source"), v.get("target")} <= set(encoders)]
        kept.append(replace(point, record=replace(point.record, rows=rows, views=views)))
    return kept, [f"Of all pairs only those among {', '.join(encoders)}."]


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
            from relrep_exp.report.figures import save_drawing

            save_drawing(drawing, folder, "figure")
            return ""
    for kind in ("png", "svg", "csv"):  # a figure of an earlier call would pass for a figure of these records
        (folder / f"figure.{kind}").unlink(missing_ok=True)
    return why
