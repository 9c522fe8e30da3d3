"""LaTeX that TeX reads: a real table with the paper's numbers, missing cells and every special character."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from relrep_exp.report.render.formats import to_csv, to_latex
from report.synthetic_paper import runs_of, table_of

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[a4paper,margin=2cm]{geometry}
\begin{document}
%s
\end{document}
"""


@pytest.fixture
def table():
    """Table 1: one method failed, another is off, and a remark has what TeX takes for its own."""

    def ours(key, paper):
        return paper.mean - (0.15 if key[2] == "random-cosine" else 0.0), paper.std

    records = [one for one in runs_of("table1", ours) if one.method != "param_single-wip"]
    found = table_of("table1", records)
    return replace(found, remarks=(*found.remarks, r"50 % of a_b & {c} #1 $x ^y ~z \d"))


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no TeX here: apt-get install texlive-latex-base"
)
def test_pdflatex_makes_a_page_of_it(table, tmp_path):
    (tmp_path / "table.tex").write_text(DOCUMENT % to_latex(table))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Output written on table.pdf (1 page" in done.stdout
    assert "Overfull" not in done.stdout


def test_the_papers_numbers_are_rows_under_ours(table):
    body = to_latex(table).split(r"\midrule")[1].splitlines()
    ours = next(index for index, line in enumerate(body) if line.startswith(r"vit\_s & vit\_s &"))
    assert body[ours].endswith(r"missing: failed \\") and r"\textbf{89.59 $\pm$ 0.19}" in body[ours]
    assert body[ours + 1].startswith(r" & {\footnotesize paper} & {\footnotesize 90.26 $\pm$ 0.26 (+0.00")
    assert body[ours + 1].endswith(r"{\footnotesize 90.00 $\pm$ 0.09} \\")
    assert r"& rexnet & - &" in body[ours + 2]
    assert to_csv(table).count("missing: failed") == 16
