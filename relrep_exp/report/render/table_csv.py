"""A table as CSV."""

from __future__ import annotations

import csv
import io

from relrep_exp.report.render.terminal import cells_of
from relrep_exp.report.tables.cells import Cell, Table

_COMPARED = ["change", "default"]
_PAPER = ["paper_mean", "paper_std", "paper_n", "difference", "p", "verdict"]


def to_csv(table: Table) -> str:
    """One line per row and method, in full precision, as fractions.

    A cell without a value has n = 0 and empty fields; `reason` says why, or why the paper's number beside it
    is not tested. The closing rows are left out: a reader who averages a column must not average averages.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    compared = _COMPARED if table.compares else []
    paper = _PAPER if _has_paper(table) else []
    rows_of_methods = [] if "method" in table.fields else ["method"]
    writer.writerow(
        [*table.fields, *rows_of_methods, "metric", "mean", "std", "n", *compared, *paper, "reason"]
    )
    for line in table.rows:
        for cell, column in [] if line.closing else cells_of(line, table):
            numbers = [repr(cell.mean), repr(cell.std), cell.n] if cell and cell.n else ["", "", 0]
            method = [line.method_in(column)] if rows_of_methods else []
            names = [line.target, line.source, *method, line.measure_in(column).name]
            more = [*(_compared(cell) if compared else []), *(_paper(cell) if paper else [])]
            writer.writerow([*names, *numbers, *more, _reason(cell)])
    return stream.getvalue()


def _has_paper(table: Table) -> bool:
    """Whether any row but the closing ones has a number of the paper beside it."""
    return any(cell.beside for line in table.rows if not line.closing for cell in line.cells if cell)


def _compared(cell: Cell | None) -> list[str]:
    """The difference to the base, empty where there is none, and whether the setting is the base's."""
    if cell is None or cell.change is None:
        return ["", ""]
    return [repr(cell.change), str(int(cell.default))]


def _paper(cell: Cell | None) -> list[str]:
    """The paper's number, the difference, p and the verdict; empty where there is none."""
    if cell is None or (beside := cell.beside) is None:
        return [""] * len(_PAPER)
    difference, p = ("" if value is None else repr(value) for value in (beside.difference, beside.p))
    return [repr(beside.mean), repr(beside.std), str(beside.n), difference, p, beside.verdict]


def _reason(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return cell.missing or (cell.beside.reason if cell.beside else "")
