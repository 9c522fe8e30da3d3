"""A table in the formats that other programs read: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re

from relrep_exp.report.render.terminal import (
    bold,
    cell_text,
    cells_of,
    paper_text,
    without_repeats,
)
from relrep_exp.report.tables.table import Cell, Table

_MARKDOWN_SPECIAL = re.compile(r"([\\`*<>|\[\]])")
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
_COMPARED = ["change", "default"]
_PAPER = ["paper_mean", "paper_std", "paper_n", "difference", "p", "verdict"]


def to_markdown(table: Table) -> str:
    """A pipe table with the title above and the notes below."""
    names = [_markdown(name) for name in table.headings]
    lines = [
        f"**{_markdown(table.title)}**",
        "",
        _pipes(names),
        _pipes([":--", ":--", *["--:"] * len(table.columns)]),
    ]
    for line in table.rows:
        cells = [
            _under(bold(cell, cell_text(cell, line, column, table), "**{}**"), paper_text(cell, line, column))
            for cell, column in cells_of(line, table)
        ]
        lines.append(_pipes([_markdown(line.target), _markdown(line.source), *cells]))
    return "\n".join([*lines, "", *(_markdown(note) + "  " for note in table.notes("bold"))]) + "\n"


def _under(ours: str, paper: str) -> str:
    return f"{ours}<br>paper {paper}" if paper else ours


def _pipes(fields: list[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _markdown(text: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text).replace("\n", " ")


def to_latex(table: Table) -> str:
    """A floating table with its notes below, the paper's numbers in rows under ours; it needs `booktabs`."""
    body = []
    for index, (target, line) in enumerate(without_repeats(table)):
        rule = (r"\midrule" if line.closing else r"\addlinespace") if target and index else ""
        cells = [
            bold(cell, _latex(cell_text(cell, line, column, table)), r"\textbf{{{}}}")
            for cell, column in cells_of(line, table)
        ]
        body += [rule] * bool(rule) + [_ampersands([_latex(target), _latex(line.source), *cells])]
        paper = [_latex(paper_text(cell, line, column)) for cell, column in cells_of(line, table)]
        if any(paper):
            body.append(_ampersands(["", _small("paper"), *map(_small, paper)]))
    notes = [rf"\par {_latex(note)}" for note in table.notes("bold")]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"\toprule",
            _ampersands([_latex(name) for name in table.headings]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip\begin{minipage}{\linewidth}\footnotesize\raggedright",
            *notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def _small(text: str) -> str:
    return rf"{{\footnotesize {text}}}" if text else ""


def _ampersands(fields: list[str]) -> str:
    return " & ".join(fields) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(char, char) for char in text)


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
