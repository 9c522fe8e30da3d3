"""A table as LaTeX."""

from __future__ import annotations

from relrep_exp.report.render.terminal import bold, cells_of, headings, paper_text, texts_of, without_repeats
from relrep_exp.report.tables.cells import Table

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


def to_latex(table: Table) -> str:
    """A floating table with its notes below, the paper's numbers in rows under ours; it needs `booktabs`."""
    body = []
    for index, (target, line) in enumerate(without_repeats(table)):
        rule = (r"\midrule" if line.closing else r"\addlinespace") if target and index else ""
        cells = [bold(cell, _latex(text), r"\textbf{{{}}}") for cell, text in texts_of(line, table)]
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
            _ampersands([_latex(name) for name in headings(table)]),
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
