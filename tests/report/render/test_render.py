"""Every format says the same and survives hostile names."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from relrep_exp.report.render.formats import to_csv, to_latex, to_markdown
from relrep_exp.report.render.terminal import to_terminal
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.run_table import run_table
from report.synthetic import ENCODERS, grid, plausible, single

NAMES = ("test_encoder", "classifier_encoder")
METHODS = ("absolute", "random-cosine", "param-wip", "param_single-wip", "affine")
LONG = ("vit_small_patch16_224", "rexnet_100", "vit_base_patch16_224", "vit_base_resnet50_384")


def terminal(table, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    to_terminal(table, stream)
    return stream.getvalue()


def sweep(encoders=ENCODERS):
    return comparison([plausible(method, seed, encoders) for seed in (0, 1, 2) for method in METHODS])


@pytest.mark.parametrize("encoders", [ENCODERS, LONG])
def test_five_methods_fit_a_hundred_columns_with_every_number_whole(encoders):
    table = sweep(encoders)
    text = terminal(table)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("±") == sum(one is not None for line in table.rows for one in line.cells) + 1
    assert text.count("*") == len(table.rows) + 1  # one mark a row, and the note
    assert "\x1b" not in text and "…" not in text


def test_a_summary_of_nine_metrics_fits_a_hundred_columns():
    text = terminal(run_table(plausible("param-wip", 0, LONG)))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


def test_many_methods_are_printed_wider_and_never_cut():
    table = comparison([single(f"method-{i}", seed, i / 20 + seed / 9) for i in range(12) for seed in (0, 1)])
    text = terminal(table)
    assert "…" not in text
    for line in table.rows[:1]:
        assert all(f"{100 * one.mean:.2f}±{100 * one.std:.2f}" in text for one in line.cells if one)


def test_colours_only_on_a_terminal(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in terminal(sweep(), Tty())
    assert "\x1b[" not in terminal(sweep())


def test_a_terminal_without_unicode_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    to_terminal(sweep(), stream)
    stream.flush()
    assert b"+-" in raw.getvalue()


def test_names_are_not_taken_for_terminal_markup():
    assert "[red]" in terminal(comparison([single("[red]", 0, 0.5)]))


def parse_markdown(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[field.strip() for field in row.strip("|").split(" | ")] for row in rows[:1] + rows[2:]]


def test_markdown_reads_back():
    table = sweep()
    header, *rows = parse_markdown(to_markdown(table))
    assert header == list(table.header)
    assert len(rows) == len(table.rows)
    for fields, line in zip(rows, table.rows, strict=True):
        assert fields[:2] == [line.target, line.source]
        for field, one in zip(fields[2:], line.cells, strict=True):
            if one is None:
                assert field == "-"
            else:
                assert field.startswith("**") == one.best
                mean, std = field.strip("*").split(" ± ")
                assert (float(mean), float(std)) == (round(100 * one.mean, 2), round(100 * one.std, 2))


def test_markdown_keeps_a_pipe_inside_its_cell():
    text = to_markdown(comparison([single("x", 0, 0.5, ("a|b", "<i>*"))]))
    assert r"| \<i\>\* | a\|b |" in text


def test_csv_has_full_precision_and_explicit_gaps():
    value = 0.1 + 0.2 / 3
    runs = (("absolute", 0), ("x", 0), ("x", 1))
    table = comparison([grid(method, seed, lambda s, t: value) for method, seed in runs])
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert list(rows[0]) == [*NAMES, "method", "metric", "mean", "std", "n", "reason"]
    assert len(rows) == 2 * len(ENCODERS) ** 2  # without the closing rows
    by_pair = {(row["test_encoder"], row["classifier_encoder"], row["method"]): row for row in rows}
    assert float(by_pair["mlp", "vit", "x"]["mean"]) == value
    assert by_pair["mlp", "vit", "x"]["n"] == "2"
    assert by_pair["mlp", "mlp", "absolute"]["std"] == "nan"
    gap = by_pair["mlp", "vit", "absolute"]
    assert (gap["mean"], gap["std"], gap["n"]) == ("", "", "0")


def test_latex_is_escaped_and_marks_the_best():
    runs = [single("param_single", seed, 0.5 + seed / 10, (r"a_{b}%&#$~^\x", "t")) for seed in (0, 1)]
    text = to_latex(comparison(runs))
    assert r"a\_\{b\}\%\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}x" in text
    assert r"param\_single" in text and r"F1 in \%" in text
    assert r"\textbf{55.00 $\pm$ 7.07}" in text
    assert "±" not in text
    assert [text.count(rule) for rule in (r"\toprule", r"\bottomrule", r"\end{tabular}")] == [1, 1, 1]
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    columns = {line.replace(r"\&", "").count("&") for line in body.splitlines() if line.endswith(r"\\")}
    assert columns == {2}


def test_missing_runs_are_named_in_every_rendering_and_cut_short():
    missing = tuple(f"affine, seed {seed}" for seed in range(9))
    table = replace(sweep(), missing=missing)
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
    assert "| nan | **50.00** |" in to_markdown(table)
    assert "nan" in terminal(table)
