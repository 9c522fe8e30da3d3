"""Every format says the same and survives hostile names."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace

import pytest

from relrep_exp.report.render.formats import to_latex, to_markdown
from relrep_exp.report.render.terminal import to_terminal
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.run_table import run_table
from report.reading import csv_of, terminal
from report.synthetic import ENCODERS, grid, plausible, single
from report.synthetic_paper import runs_of, table_of

METHODS = ("absolute", "random-cosine", "param-wip", "param_single-wip", "affine")
LONG = ("vit_small_patch16_224", "rexnet_100", "vit_base_patch16_224", "vit_base_resnet50_384")
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[a4paper,margin=2cm]{geometry}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def sweep():
    return comparison([plausible(method, seed) for seed in (0, 1, 2) for method in METHODS])


@pytest.fixture(scope="module")
def table1():
    """Table 1: one method failed, another is off, and a remark has what TeX takes for its own."""

    def ours(key, paper):
        return paper.mean - (0.15 if key[2] == "random-cosine" else 0.0), paper.std

    records = [one for one in runs_of("table1", ours) if one.method != "param_single-wip"]
    found = table_of("table1", records)
    return replace(found, remarks=(*found.remarks, r"50 % of a_b & {c} #1 $x ^y ~z \d"))


@pytest.mark.parametrize("encoders", [ENCODERS, LONG])
def test_five_methods_fit_a_hundred_columns_with_every_number_whole(encoders):
    table = comparison([plausible(method, seed, encoders) for seed in (0, 1) for method in METHODS])
    text = terminal(table)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("±") == sum(one is not None for line in table.rows for one in line.cells) + 1
    assert (
        text.count("*") == sum(one.best for line in table.rows for one in line.cells if one) + 1
    )  # the note
    assert "\x1b" not in text and "…" not in text
    one = terminal(run_table(plausible("param-wip", 0, encoders)))  # ten metrics
    assert max(map(len, one.splitlines())) <= 100 and "…" not in one


def test_many_methods_are_printed_wider_and_never_cut():
    table = comparison([single(f"method-{i}", seed, i / 20 + seed / 9) for i in range(12) for seed in (0, 1)])
    text = terminal(table)
    assert "…" not in text
    assert all(f"{100 * one.mean:.2f}±{100 * one.std:.2f}" in text for one in table.rows[0].cells)


def test_colours_only_on_a_terminal(monkeypatch, sweep):
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in terminal(sweep, Tty()) and "\x1b[" not in terminal(sweep)


def test_a_terminal_without_unicode_gets_ascii(table1):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    to_terminal(table1, stream)
    stream.flush()
    assert all(text in raw.getvalue() for text in (b"89.59+-0.19", b"+0.00=", b"-15.00<"))


def test_names_are_not_taken_for_markup():
    assert "[red]" in terminal(comparison([single("[red]", 0, 0.5)]))
    text = to_markdown(comparison([single("x", 0, 0.5, ("a|b", "<i>*"))]))
    assert r"| \<i\>\* | a\|b |" in text


def parse_markdown(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[field.strip() for field in row.strip("|").split(" | ")] for row in rows[:1] + rows[2:]]


def test_markdown_reads_back(sweep):
    header, *rows = parse_markdown(to_markdown(sweep))
    assert header == list(sweep.header)
    for fields, line in zip(rows, sweep.rows, strict=True):
        assert fields[:2] == [line.target, line.source]
        for field, one in zip(fields[2:], line.cells, strict=True):
            if one is None:
                assert field == "-"
            else:
                assert field.startswith("**") == one.best
                mean, std = field.strip("*").split(" ± ")
                assert (float(mean), float(std)) == (round(100 * one.mean, 2), round(100 * one.std, 2))


def test_csv_has_full_precision_and_explicit_gaps():
    value = 0.1 + 0.2 / 3
    runs = (("absolute", 0), ("x", 0), ("x", 1))
    rows = csv_of(comparison([grid(method, seed, lambda s, t: value) for method, seed in runs]))
    names = ["test_encoder", "classifier_encoder"]
    assert list(rows[0]) == [*names, "method", "metric", "mean", "std", "n", "reason"]
    assert len(rows) == 2 * len(ENCODERS) ** 2  # without the closing rows
    by_pair = {(row["test_encoder"], row["classifier_encoder"], row["method"]): row for row in rows}
    assert float(by_pair["mlp", "vit", "x"]["mean"]) == value
    assert by_pair["mlp", "vit", "x"]["n"] == "2"
    assert by_pair["mlp", "mlp", "absolute"]["std"] == "nan"
    gap = by_pair["mlp", "vit", "absolute"]
    assert (gap["mean"], gap["std"], gap["n"]) == ("", "", "0")


def test_latex_is_escaped_and_marks_the_best():
    runs = [single("param_single", seed, 0.3 + seed / 10, (r"a_{b}%&#$~^\x", "t")) for seed in range(5)]
    text = to_latex(comparison(runs))
    assert r"a\_\{b\}\%\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}x" in text
    assert r"param\_single" in text and r"F1 in \%" in text
    assert r"\textbf{50.00 $\pm$ 15.81}" in text and "±" not in text
    assert [text.count(rule) for rule in (r"\toprule", r"\bottomrule", r"\end{tabular}")] == [1, 1, 1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    columns = {line.replace(r"\&", "").count("&") for line in body.splitlines() if line.endswith(r"\\")}
    assert columns == {2}


def test_the_papers_numbers_are_rows_of_latex_under_ours(table1):
    body = to_latex(table1).split(r"\midrule")[1].splitlines()
    ours = next(index for index, line in enumerate(body) if line.startswith(r"vit\_s & vit\_s &"))
    assert body[ours].endswith(r"missing: failed \\") and r"\textbf{89.59 $\pm$ 0.19}" in body[ours]
    assert body[ours + 1].startswith(r" & {\footnotesize paper} & {\footnotesize 90.26 $\pm$ 0.26 (+0.00")
    assert body[ours + 1].endswith(r"{\footnotesize 90.00 $\pm$ 0.09} \\")
    assert r"& rexnet & - &" in body[ours + 2]
    assert [row["reason"] for row in csv_of(table1)].count("missing: failed") == 16


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no TeX here: apt-get install texlive-latex-base"
)
def test_pdflatex_makes_a_page_of_it(table1, tmp_path):
    (tmp_path / "table.tex").write_text(DOCUMENT % to_latex(table1))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Output written on table.pdf (1 page" in done.stdout
    assert "Overfull" not in done.stdout


def test_missing_runs_are_named_in_every_rendering_and_cut_short(sweep):
    table = replace(sweep, missing=tuple(f"affine, seed {seed}" for seed in range(9)))
    for text in (terminal(table), to_markdown(table), to_latex(table)):
        assert "No record of 9 run(s):" in text and "affine, seed 5" in text
        assert "affine, seed 6" not in text and "and 3 more." in text


def test_fewer_seeds_are_told_in_the_heading_or_the_cell():
    runs = [*(single("x", seed, 0.5) for seed in range(3)), *(single("y", seed, 0.4) for seed in range(2))]
    header, *_ = parse_markdown(to_markdown(comparison(runs)))
    assert header[2:] == ["x", "y (n=2)"]
    uneven = [grid("x", 0, lambda s, t: 0.5), single("x", 1, 0.6, ("mlp", "vit"))]
    assert "50.00 (n=1)" in to_markdown(comparison(uneven))


def test_nan_is_printed_as_nan():
    table = comparison([single("x", 0, float("nan")), single("y", 0, 0.5)])
    assert "| nan | 50.00 |" in to_markdown(table) and "nan" in terminal(table)
