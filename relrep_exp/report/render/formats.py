"""Write a table in the formats that other programs read: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from relrep_exp.report.render.terminal import cell_text, cells_of, paper_text, without_repeats
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
    """Write a pipe table with the title above and the notes below."""
    lines = [f"**{_markdown(table.title)}**", ""]
    lines += [_pipes(map(_markdown, table.headings)), _pipes([":--", ":--", *["--:"] * len(table.columns)])]
    for line in table.rows:
        cells = []
        for cell, column in cells_of(line, table):
            ours, paper = cell_text(cell, line, column, table), paper_text(cell, line, column)
            ours = f"**{ours}**" if cell and cell.best else ours
            cells.append(f"{ours}<br>paper {paper}" if paper else ours)
        lines.append(_pipes([_markdown(line.target), _markdown(line.source), *cells]))
    return "\n".join([*lines, "", *(_markdown(note) + "  " for note in table.notes("bold"))]) + "\n"


def _pipes(fields: Iterable[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _markdown(text: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text).replace("\n", " ")


def to_latex(table: Table) -> str:
    """Write a floating table for `booktabs`: the paper's numbers in rows under ours, the notes below."""
    body = []
    for index, (target, line) in enumerate(without_repeats(table)):
        if target and index:
            body.append(r"\midrule" if line.closing else r"\addlinespace")
        ours, paper = [_latex(target), _latex(line.source)], ["", r"{\footnotesize paper}"]
        for cell, column in cells_of(line, table):
            text, below = _latex(cell_text(cell, line, column, table)), _latex(paper_text(cell, line, column))
            ours.append(rf"\textbf{{{text}}}" if cell and cell.best else text)
            paper.append(rf"{{\footnotesize {below}}}" if below else "")
        body.append(_ampersands(ours))
        if any(paper[2:]):
            body.append(_ampersands(paper))
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering\small\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"\toprule",
            _ampersands(map(_latex, table.headings)),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip\begin{minipage}{\linewidth}\footnotesize\raggedright",
            *(rf"\par {_latex(note)}" for note in table.notes("bold")),
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def _ampersands(fields: Iterable[str]) -> str:
    return " & ".join(fields) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(char, char) for char in text)


def to_csv(table: Table) -> str:
    """Write one line per row and method, in full precision, as fractions.

    A cell without a value has n = 0 and empty fields; `reason` says why, or why the paper's number beside it
    is not tested. The closing rows are left out: a reader who averages a column must not average averages.
    """
    lines = [line for line in table.rows if not line.closing]
    cells = [cell for line in lines for cell in line.cells if cell]
    fields = [
        *table.fields,
        *(["method"] if "method" not in table.fields else []),
        "metric",
        "mean",
        "std",
        "n",
    ]
    fields += _COMPARED if any(cell.change is not None for cell in cells) else []
    fields += _PAPER if any(cell.beside for cell in cells) else []
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, [*fields, "reason"], restval="", extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    for line in lines:
        for cell, column in cells_of(line, table):
            first, second = table.fields
            row = {"method": line.method_in(column), "metric": line.measure_in(column).name, "n": 0}
            writer.writerow({**row, first: line.target, second: line.source, **_numbers(cell)})
    return stream.getvalue()


def _numbers(cell: Cell | None) -> dict[str, object]:
    """List what a CSV says of a cell. Its writer prints a float's repr, and nothing for None."""
    if cell is None:
        return {}
    found: dict[str, object] = {"reason": cell.missing}
    if cell.n:
        found |= {"mean": cell.mean, "std": cell.std, "n": cell.n}
    if cell.change is not None:
        found |= {"change": cell.change, "default": int(cell.default)}
    if beside := cell.beside:
        found |= {"paper_mean": beside.mean, "paper_std": beside.std, "paper_n": beside.n}
        found |= {"difference": beside.difference, "p": beside.p, "verdict": beside.verdict}
        found["reason"] = cell.missing or beside.reason
    return found
