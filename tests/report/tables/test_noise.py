"""What is noise: the statistics against their definitions, and what a table marks because of them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import trim_mean, ttest_rel

from relrep_exp.report.render.formats import to_latex, to_markdown
from relrep_exp.report.render.html import Runs, to_html
from relrep_exp.report.tables.noise import PAIRS, SAMPLES, SEEDS, holm, interquartile_mean, paired_test
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.table import Score, cell_of
from relrep_exp.store.records import Row
from report.reading import csv_of, note_of, terminal
from report.synthetic import record, single

NOISE = (0.010, -0.020, 0.015, 0.0, -0.012, 0.007)  # of six seeds, shared by all methods
OWN = (0.004, 0.009, -0.008, -0.011, 0.003, 0.003)  # of six seeds, of one method


def of(values, seeds=None, error=math.nan):
    """A cell of one pair, or of several where a seed has several values."""
    runs = zip(range(len(values)) if seeds is None else seeds, map(np.atleast_1d, values), strict=True)
    return cell_of([Score(str(seed), seed, dict(enumerate(v.tolist())), error) for seed, v in runs])


@pytest.mark.parametrize("n", [5, 6])
def test_p_is_that_of_a_paired_t_test_over_the_seeds(n):
    one, other = NOISE[:n], OWN[:n]
    expected = pytest.approx(ttest_rel(one, other).pvalue, rel=1e-9)
    assert paired_test(of(one), of(other)) == (expected, SEEDS)
    assert paired_test(of(one[::-1], [*range(n)][::-1]), of(other)) == (expected, SEEDS)
    assert paired_test(of([*one, 9.0]), of([*other, 9.0], [*range(n), 99])) == (expected, SEEDS)
    pairs = [[v - 0.1, v + 0.1] for v in one]  # of a mean over pairs, the mean
    assert paired_test(of(pairs), of([[v, v] for v in other])) == (expected, SEEDS)


@pytest.mark.parametrize("shift", [0.0, 0.01])
def test_with_few_seeds_or_none_that_matter_the_unit_is_a_pair_with_its_mean_over_seeds(shift):
    one, other = np.array([NOISE, OWN]), np.array([OWN, OWN]) + 0.03  # two seeds of six pairs
    one[1] = one[0] + shift
    expected = ttest_rel(one.mean(0), other.mean(0)).pvalue
    assert paired_test(of(one), of(other)) == (pytest.approx(expected, rel=1e-9), PAIRS)
    same = [one[0]] * 6, [other[0]] * 6
    expected = ttest_rel(one[0], other[0]).pvalue
    assert paired_test(of(same[0]), of(same[1])) == (pytest.approx(expected, rel=1e-9), PAIRS)


@pytest.mark.parametrize(
    ("difference", "error", "expected"),
    [
        (0.0, math.nan, (1.0, "")),
        (0.1, math.nan, (0.0, "")),
        (0.1, 0.0, (0.0, "")),
        (0.196, 0.1, (0.1658, SAMPLES)),  # 2 (1 - Phi(1.96 / sqrt 2))
    ],
)
def test_where_neither_seeds_nor_pairs_differ_the_test_samples_decide(difference, error, expected):
    one, other = of([0.5] * 6, error=error), of([0.5 + difference] * 6, error=error)
    found = paired_test(one, other)
    assert (round(found.p, 4), found.unit) == expected


def test_what_cannot_be_tested_has_no_p():
    for one, other in ((of([0.1, 0.2]), of([0.3, 0.5], seeds=(1, 2))), (of([0.1, 0.2]), of([0.3, 0.5]))):
        assert math.isnan(paired_test(one, other).p)


def literal_holm(values, alpha):
    """Which are rejected: from the smallest p on, until one is above alpha over how many are left."""
    rejected = set()
    for step, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        if values[index] > alpha / (len(values) - step):
            break
        rejected.add(index)
    return rejected


def test_holm_rejects_what_the_step_down_procedure_rejects():
    for seed in range(20):
        values = [*np.random.default_rng(seed).random(9) ** 4]
        for alpha in (0.001, 0.01, 0.05, 0.3):
            assert {i for i, p in enumerate(holm(values)) if p <= alpha} == literal_holm(values, alpha)
    assert holm([0.01, 0.04, 0.03, math.nan]) == pytest.approx([0.04, 0.09, 0.09, 1.0])
    assert holm([]) == []


def test_the_interquartile_mean_and_its_interval_are_those_of_all_draws_of_seeds():
    values = np.random.default_rng(0).normal(size=(3, 4))  # seeds, pairs

    def middle(x):
        return trim_mean(x, 0.25, axis=None)

    every = [middle(values[[*seeds]]) for seeds in product(range(3), repeat=3)]  # 27, more than 2.5 % each
    assert interquartile_mean(of(values)) == pytest.approx(
        (middle(values), min(every), max(every)), rel=1e-12
    )
    assert interquartile_mean(of([0.1, 0.2])) is None  # of one pair
    assert interquartile_mean(of([[0.1, 0.2]])) is None  # of one seed


def runs(errors=None, seeds=6, **levels):
    """x and y share their seeds' noise, w has one of its own beside it, z and v have none."""
    found = []
    for method, level in levels.items():
        for seed in range(seeds):
            noise = {"w": NOISE[seed] + OWN[seed], "z": 0.0, "v": 0.0}.get(method, NOISE[seed])
            rows = [Row("b", "a", method, "f1_weighted", level + noise)]
            if errors:
                rows.append(Row("b", "a", method, "f1_weighted_se", errors))
            found.append(record(method, seed, rows))
    return found


def marked(table, row=0):
    cells = zip(table.columns, table.rows[row].cells, strict=True)
    return [column.label for column, cell in cells if cell and cell.best]


def test_what_the_paired_test_does_not_tell_from_the_best_is_marked_in_every_format():
    table = comparison(runs(x=0.80, y=0.78, w=0.797))  # std .0135: unpaired, y would be within it
    assert marked(table) == ["x", "w"]
    assert "**80.00 ± 1.35** | 78.00 ± 1.35 | **79.70 ± 1.16**" in to_markdown(table)
    assert r"\textbf{80.00 $\pm$ 1.35} & 78.00 $\pm$ 1.35 & \textbf{79.70 $\pm$ 1.16}" in to_latex(table)
    assert to_html(table, Runs()).count("<strong>") == 2 * 2  # the pair and the mean
    assert "80.00±1.35*" in terminal(table) and "79.70±1.16*" in terminal(table)
    assert "a paired test over seeds does not tell from it (two-sided, alpha = 0.05, Holm's" in note_of(table)
    assert "over 2 comparisons and 2 of means" in note_of(table)
    rows = {row["method"]: (row["best"], row["p_best"] == "") for row in csv_of(table)}
    assert rows == {"x": ("1", True), "y": ("0", False), "w": ("1", False)}


def test_the_more_a_table_compares_the_more_it_takes_to_tell_two_apart():
    own = [n * 0.0118 / np.std(OWN, ddof=1) for n in OWN]  # t = 2.9, p = .034

    def pairs(count):
        return [
            record(m, seed, [Row("b", f"a{n}", m, "f1_weighted", level + noise[seed]) for n in range(count)])
            for m, level, noise in (("x", 0.8, [0.0] * 6), ("y", 0.786 - np.mean(own), own))
            for seed in range(6)
        ]

    assert marked(comparison(pairs(1))) == ["x"]
    assert marked(comparison(pairs(2))) == ["x", "y"]
    assert marked(comparison(pairs(2)), row=-1) == ["x"]  # the mean is a family of its own


def test_what_has_too_few_numbers_for_a_test_is_not_ranked_and_it_is_said():
    for seeds in (1, 4):
        few = comparison([single(m, seed, v) for m, v in (("x", 0.9), ("y", 0.1)) for seed in range(seeds)])
        assert marked(few) == [] and "bold" not in note_of(few)
        assert "Not ranked, too few to test: under 5 seeds of a pair, one seed of a mean." in note_of(few)
    beside = comparison([*runs(x=0.8, y=0.7), single("q", 0, 0.99)])
    assert marked(beside) == ["x"] and "Not ranked" in note_of(beside)
    assert "Not ranked" not in note_of(comparison(runs(x=0.8, y=0.7)))


def test_methods_without_a_draw_are_compared_over_the_test_samples():
    for errors, expected in ((0.02, ["z", "v"]), (0.001, ["z"]), (None, ["z"])):
        assert marked(comparison(runs(errors=errors, z=0.80, v=0.79))) == expected


def test_the_notes_tell_the_standard_error_over_test_samples_and_the_interquartile_mean():
    rows = [
        Row(source, target, "x", metric, value)
        for source, target in (("a", "b"), ("b", "a"))
        for metric, value in (("f1_weighted", 0.8), ("f1_weighted_se", 0.02 if source == "a" else 0.01))
    ]
    table = comparison([record("x", seed, rows) for seed in (0, 1)])
    told = note_of(table)
    assert "Standard error over test samples, which no seed changes: weighted F1 1.00 to 2.00." in told
    assert "IQM over pairs and seeds [95 % bootstrap interval], off-diagonal: x 80.00 [80.00, 80.00]." in told
    assert [row["test_se"] for row in csv_of(table)] == ["0.01", "0.02"]
