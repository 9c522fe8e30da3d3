"""The comparison and the summary: numbers against numpy, what is marked, what is missing."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from relrep_exp.report.render.terminal import run_line
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.run_table import MATCHING, OFF_DIAGONAL, headline, run_table
from relrep_exp.store.records import Row
from report.reading import csv_of, note_of
from report.synthetic import ENCODERS, found, grid, plausible, record, single


def cell(table, method, target, source):
    index = [column.label for column in table.columns].index(method)
    (line,) = [line for line in table.rows if (line.target, line.source) == (target, source)]
    return line.cells[index]


def best(table):
    marks = zip(table.columns, table.rows[0].cells, strict=True)
    return [column.label for column, one in marks if one is not None and one.best]


def test_mean_and_sample_std_over_seeds_are_numpys():
    values = [0.8123, 0.8345, 0.7991, 0.8202]
    table = comparison([single("param-wip", seed, value) for seed, value in enumerate(values)])
    got = cell(table, "param-wip", "a", "b")
    assert got.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert got.std == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert got.n == 4


def test_rows_are_grouped_by_test_encoder_and_columns_start_with_absolute():
    methods = ("param-wip", "affine", "absolute")
    table = comparison([plausible(method, 0) for method in methods])
    assert table.header == ("test encoder", "classifier", "absolute", "param-wip", "affine")
    pairs = [(line.target, line.source) for line in table.rows if not line.closing]
    assert pairs == [(target, source) for target in ENCODERS for source in ENCODERS]


def test_closing_rows_average_the_pairs_within_a_seed_before_the_seeds():
    def value(seed: int):
        return lambda s, t: 0.5 + 0.1 * seed + 0.01 * ENCODERS.index(s) + 0.03 * (s == t)

    table = comparison([grid(m, seed, value(seed)) for m in ("absolute", "x") for seed in (0, 1, 2)])
    crossed = [(s, t) for s in ENCODERS for t in ENCODERS if s != t]
    means = [np.mean([value(seed)(*pair) for pair in crossed]) for seed in (0, 1, 2)]
    off, matching = cell(table, "x", "mean", OFF_DIAGONAL), cell(table, "absolute", "mean", MATCHING)
    assert off.mean == pytest.approx(np.mean(means))
    assert off.std == pytest.approx(np.std(means, ddof=1))
    assert matching.mean == pytest.approx(np.mean([value(1)(s, s) for s in ENCODERS]))
    assert cell(table, "absolute", "mean", OFF_DIAGONAL) is None


def test_a_method_that_lacks_a_pair_has_no_closing_mean_and_an_explicit_gap():
    partial = record("y", 0, [Row("a", "b", "y", "f1_weighted", 0.9)])
    table = comparison([grid("x", 0, lambda s, t: 0.5, ("a", "b")), partial])
    assert cell(table, "y", "a", "b") is None
    assert cell(table, "y", "mean", OFF_DIAGONAL).missing == "missing: some runs lack pairs"
    assert cell(table, "x", "mean", OFF_DIAGONAL).mean == 0.5


@pytest.mark.parametrize(
    ("values", "metric", "expected"),
    [
        ({"absolute": 0.99, "x": 0.7, "y": 0.8}, "f1_weighted", ["y"]),  # besides absolute
        ({"absolute": 0.8, "x": 0.7, "y": 0.8}, "f1_weighted", ["y"]),
        ({"x": 0.80001, "y": 0.80004, "z": 0.7999}, "f1_weighted", ["x", "y"]),  # a tie, as printed
        ({"x": 0.1, "y": 0.4}, "mrr", ["y"]),
        ({"x": 0.1, "y": 0.4}, "nmse", ["x"]),  # lower is better
        ({"x": 0.1, "y": 0.4}, "effective_rank", []),  # a description
    ],
)
def test_the_best_of_a_row_is_marked(values, metric, expected):
    runs = [
        record(m, seed, [Row("a", "a", m, metric, value)]) for m, value in values.items() for seed in range(5)
    ]
    assert best(comparison(runs, metric)) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_failed_seed_is_not_averaged_away_and_never_best(bad):
    runs = [single("x", seed, bad if seed == 1 else 0.5) for seed in range(5)]
    table = comparison([*runs, *(single("y", seed, 0.2) for seed in range(5))])
    got = cell(table, "x", "a", "b")
    assert not math.isfinite(got.mean) and math.isnan(got.std) and got.n == 5
    assert best(table) == ["y"]


def test_the_note_says_how_many_seeds():
    one, two = single("x", 0, 0.5), single("x", 1, 0.6)
    told = "one seed, weighted F1 in % Not ranked"
    assert note_of(comparison([one])).startswith(told)
    assert note_of(comparison([one, two])).startswith("mean ± std over 2 seeds, weighted F1 in %")
    assert "n where it is fewer" in note_of(comparison([one, two, single("y", 0, 0.1)]))


def test_runs_that_differ_in_more_than_method_and_seed_are_refused():
    with pytest.raises(ValueError, match=r"two different runs of x with seed 0"):
        comparison([single("x", 0, 0.5), single("x", 0, 0.6, config={"anchors": {"m": 100}})])
    with pytest.raises(ValueError, match="several tasks: digits_stitch, other"):
        comparison([single("x", 0, 0.5), single("x", 1, 0.6, task="other")])


def test_the_same_record_twice_counts_once():
    assert cell(comparison([single("x", 0, 0.5), single("x", 0, 0.5)]), "x", "a", "b").n == 1


def test_no_records_give_an_empty_table():
    table = comparison([])
    assert (table.rows, note_of(table)) == ((), "no values")


def test_retrieval_has_a_source_and_its_recall_in_percent():
    runs = [found("param-wip", 0), found("random-cosine", 0)]
    table = comparison(runs, headline(runs))
    assert (table.title, table.header[:2]) == ("slm_retrieval: R@1", ("source", "zero-shot encoder"))
    assert "R@1 in %" in note_of(table) and [*csv_of(table)[0]][:2] == ["source_encoder", "zero_shot_encoder"]
    values = [row.value for row in runs[0].rows if row.metric == "recall@1"]
    assert cell(table, "param-wip", "mean", OFF_DIAGONAL).mean == pytest.approx(np.mean(values))
    assert run_table(runs[0]).header == ("test encoder", "source", "R@1 %", "MRR", "RR std")
    assert headline([plausible("param-wip", 0)]) == "f1_weighted"
    assert headline([record("x", 0, [Row("a", "b", "x", "mrr", 0.1)])]) == "mrr"


def test_a_sweeps_line_tells_the_headline_of_its_run(capsys):
    run_line(found("param-wip", 0), 3, 1.0, fresh=True)
    run_line(plausible("param-wip", 0), 4, 1.0, fresh=False)
    run_line(plausible("absolute", 0), 5, 1.0, fresh=True)
    lines = capsys.readouterr().out.splitlines()
    assert "R@1 between encoders  8" in lines[0] and lines[0].endswith("1.0 s")
    assert "F1 between encoders  8" in lines[1] and lines[1].endswith("cached")
    assert "F1 within encoders  9" in lines[2]


def test_a_run_shows_its_metrics_and_their_off_diagonal_mean():
    run = plausible("param-wip", 0)
    table = run_table(run)
    shown = "F1 %, acc. %, R@1 %, R@5 %, MRR, nMSE, CKA, overl., RR std, rank"
    assert ", ".join(table.header[2:]) == shown
    assert len(table.rows) == len(ENCODERS) ** 2 + 1
    crossed = [row.value for row in run.rows if row.metric == "mrr"]
    closing = cell(table, "MRR", "mean", OFF_DIAGONAL)
    assert closing.mean == pytest.approx(np.mean(crossed))
    assert cell(table, "MRR", "mlp", "mlp") is None
    # a description of the test encoder holds for every classifier
    one, other = cell(table, "rank", "mlp", "vit"), cell(table, "rank", "mlp", "mlp")
    assert (one.mean, one.n) == (other.mean, other.n)


def test_a_run_of_absolute_closes_with_the_matching_mean():
    table = run_table(plausible("absolute", 0))
    assert table.header[2:] == ("F1 %", "acc. %", "RR std", "rank")
    assert [(line.source, line.closing) for line in table.rows][-1] == (MATCHING, True)


def test_the_closing_table_needs_no_heavy_import():
    heavy = {"numpy", "pandas", "matplotlib", "torch", "jinja2"}
    code = (
        "import sys, relrep_exp.report.render.terminal as r, relrep_exp.report.tables.pair_tables as t\n"
        "import relrep_exp.report.experiment, relrep_exp.report.tables.run_table\n"
        f"r.to_terminal(t.comparison([])); print(sorted({heavy!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
