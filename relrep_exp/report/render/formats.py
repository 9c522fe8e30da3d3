"""Write a table in the formats that other programs read: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable

from relrep_exp.report.render.terminal import cell_text, cells_of, paper_text, without_repeats
from relrep_exp.report.tables.noise import interquartile_mean
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
# Columns of a CSV that stand there if any of them has a value.
_ASIDE = (
    ("change", "default"),
    ("best", "p_best"),
    ("test_se",),
    ("iqm", "iqm_low", "iqm_high"),
    ("paper_mean", "paper_std", "paper_n", "difference", "p", "verdict"),
)


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
    first, second = table.fields
    rows = [
        {
            "method": line.method_in(column),
            "metric": line.measure_in(column).name,
            "n": 0,
            first: line.target,
            second: line.source,
            **_numbers(cell),
        }
        for line in table.rows
        if not line.closing
        for cell, column in cells_of(line, table)
    ]
    known = {name for row in rows for name, value in row.items() if value is not None}
    fields = [*table.fields, *(["method"] if "method" not in table.fields else [])]
    fields += ["metric", "mean", "std", "n"]
    for group in _ASIDE:
        fields += group if known.intersection(group) else ()
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, [*fields, "reason"], restval="", extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
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
    if cell.best or cell.p is not None:
        found |= {"best": int(cell.best), "p_best": cell.p}
    if not math.isnan(cell.error):
        found["test_se"] = cell.error
    if middle := interquartile_mean(cell):
        found |= dict(zip(("iqm", "iqm_low", "iqm_high"), middle, strict=True))
    if beside := cell.beside:
        found |= {"paper_mean": beside.mean, "paper_std": beside.std, "paper_n": beside.n}
        found |= {"difference": beside.difference, "p": beside.p, "verdict": beside.verdict}
        found["reason"] = cell.missing or beside.reason
    return found
