"""Tables of means, metric by metric, along an axis and under variations: numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from relrep_exp.report.render.formats import to_latex, to_markdown
from relrep_exp.report.render.html import Runs, to_html
from relrep_exp.report.tables.axis_tables import axis_table, metrics_table, variations_table
from report.reading import csv_of, note_of
from report.synthetic_points import along, experiment, point

CHANGE = ["change", "default", "best", "p_best", "iqm", "iqm_low", "iqm_high", "reason"]
METRICS = experiment(metrics=["mrr", "nmse", "rr_std"], table="metrics")
AXIS = experiment(
    metrics=["accuracy", "nmse"],
    x="anchors.m",
    axes={"anchors.m": [10, 100], "seed": [0, 1, 2]},
    table="axis",
)
VARIED = experiment(vary={"lr": [0.1, 0.2]}, table="variations")


def numbers(rows, **wanted):
    [row] = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_a_row_for_each_metric_with_its_own_unit_and_direction():
    runs = [
        point(method, seed, {"mrr": 0.2 + k + 0.01 * seed, "nmse": 0.9 - k, "rr_std": 1.0 + k})
        for method, k in (("x", 0.0), ("y", 0.4))
        for seed in (0, 1, 2)
    ]
    table = metrics_table(METRICS, runs)
    assert table.header == ("metric", "mean over", "x", "y")
    text = to_markdown(table)
    assert "| MRR | pairs | 0.210 ± 0.010 | **0.610 ± 0.010** |" in text
    assert "| nMSE | pairs | 0.900 ± 0.000 | **0.500 ± 0.000** |" in text
    assert "| RR std | encoders | 1.000 ± 0.000 | 1.400 ± 0.000 |" in text  # a description, no score
    row = numbers(csv_of(table), metric="mrr", method="x")
    assert float(row["mean"]) == pytest.approx(np.mean([0.2, 0.21, 0.22]), rel=1e-14)
    assert float(row["std"]) == pytest.approx(np.std([0.2, 0.21, 0.22], ddof=1), rel=1e-12)
    assert (row["n"], row["mean_over"]) == ("3", "pairs")


def test_a_mean_is_over_pairs_of_different_encoders_and_of_absolute_over_matching_ones():
    table = metrics_table(
        experiment(metrics=["accuracy"], table="metrics", methods={"x": [], "absolute": []}),
        [point("x", 0, {"accuracy": 0.5}), point("absolute", 0, {"accuracy": 0.9})],
    )
    assert table.header[2:] == ("absolute", "x")
    assert "| accuracy in % | pairs | 90.00 | 50.00 |" in to_markdown(table)
    assert "absolute: each with itself" in table.legend


def test_a_row_for_each_place_on_the_axis_and_each_metric_numbers_by_size():
    runs = along(
        "anchors.m", (100, 10), (0, 1), lambda m, x, s: {"accuracy": x / 1000 + s / 100, "nmse": 1 / x}
    )
    table = axis_table(AXIS, runs)
    assert table.header == ("anchors.m", "metric", "x", "y")
    rows = [(x, metric) for x in ("10", "100") for metric in ("accuracy in %", "nMSE")]
    assert [(line.target, line.source) for line in table.rows] == rows
    row = numbers(csv_of(table), **{"anchors.m": "100", "metric": "accuracy", "method": "y"})
    assert float(row["mean"]) == pytest.approx(0.105, rel=1e-14) and row["n"] == "2"
    assert "10.50 ± 0.71" in to_markdown(table)


def test_a_place_without_runs_is_a_gap_and_a_lost_seed_is_told():
    runs = along("anchors.m", (10, 100), (0, 1), lambda m, x, s: {"accuracy": 0.5, "nmse": 1.0})
    kept = [p for p in runs if not (p.method == "y" and p.at["anchors.m"] == 100)]
    kept = [p for p in kept if not (p.method == "x" and p.at == {"seed": 1, "anchors.m": 10})]
    table = axis_table(AXIS, kept)
    gap = numbers(csv_of(table), **{"anchors.m": "100", "metric": "nmse", "method": "y"})
    assert (gap["mean"], gap["n"]) == ("", "0")
    assert "| 10 | accuracy in % | 50.00 (n=1) |" in to_markdown(table).replace("**", "")
    assert "n where it is fewer" in table.legend


def variations():
    """x: base .50, .60; lr=.1 is its own setting, lr=.2 gives .55, .61. y has one seed of lr=.2."""
    x = {(None, 0): 0.50, (None, 1): 0.60, (0.1, 0): 0.50, (0.1, 1): 0.60, (0.2, 0): 0.55, (0.2, 1): 0.61}
    runs = [
        point("x", seed, {"f1_weighted": value}, ("lr", lr) if lr else None, lr=lr or 0.1)
        for (lr, seed), value in x.items()
    ]
    runs += [point("y", seed, {"f1_weighted": 0.7 + seed}, lr=0.3) for seed in (0, 1)]
    return [*runs, point("y", 1, {"f1_weighted": 1.6}, ("lr", 0.2), lr=0.2)]


def test_a_variation_has_its_difference_to_the_same_seeds_and_the_own_setting_is_marked():
    table = variations_table(VARIED, variations())
    assert table.header == ("changed", "to", "x", "y")
    text = to_markdown(table).replace("**", "")
    assert "| own setting |  | 55.00 ± 7.07 | 120.00 ± 70.71 |" in text
    assert "| lr | 0.1 | 55.00 ± 7.07 (default) | - |" in text
    # y's base of seed 1 alone is 1.7
    assert "| lr | 0.2 | 58.00 ± 4.24 (+3.00) | 160.00 (-10.00, n=1) |" in text
    rows = csv_of(table)
    assert list(rows[0]) == ["key", "value", "method", "metric", "mean", "std", "n", *CHANGE]
    changed = numbers(rows, key="lr", value="0.2", method="x")
    assert float(changed["change"]) == pytest.approx(np.mean([0.55 - 0.50, 0.61 - 0.60]), rel=1e-12)
    assert (changed["default"], numbers(rows, key="lr", value="0.1", method="x")["default"]) == ("0", "1")
    assert numbers(rows, key="own setting", method="y")["change"] == ""
    assert numbers(rows, value="0.1", method="y")["n"] == "0"


def test_every_format_of_a_table_of_variations_says_the_difference():
    table = variations_table(VARIED, variations())
    assert r"58.00 $\pm$ 4.24 (+3.00)" in to_latex(table) and "(default)" in to_latex(table)
    assert "58.00 ± 4.24 (+3.00)" in to_html(table, Runs())


def test_methods_of_different_tasks_are_each_measured_in_their_own_metric_and_not_ranked():
    runs = [point("x", 0, {"f1_weighted": 0.5}), point("y", 0, {"mrr": 0.9, "recall@1": 0.8})]
    runs += [point("x", 0, {"f1_weighted": 0.6}, ("k", 1)), point("y", 0, {"recall@1": 0.7}, ("k", 1))]
    table = variations_table(VARIED, runs)
    assert table.header[2:] == ("x, weighted F1 in %", "y, R@1 in %")
    text = to_markdown(table)
    assert "| k | 1 | 60.00 (+10.00) | 70.00 (-10.00) |" in text
    assert "**60" not in text and "bold" not in note_of(table)
    assert {row["metric"] for row in csv_of(table)} == {"f1_weighted", "recall@1"}


def test_runs_that_differ_in_something_else_are_refused():
    twice = [point("x", 0, {"mrr": 0.1}, k=1), point("x", 0, {"mrr": 0.2}, k=2)]
    with pytest.raises(ValueError, match="two different runs of x with seed 0"):
        metrics_table(METRICS, twice)


@pytest.mark.parametrize(
    ("make", "shown"), [(metrics_table, METRICS), (axis_table, AXIS), (variations_table, VARIED)]
)
def test_no_runs_give_a_table_that_says_so(make, shown):
    assert "no values" in to_markdown(make(shown, []))
