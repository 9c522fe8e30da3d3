"""Runs without a record: their cells say why, in every kind of table, and nothing is dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.render.formats import to_markdown
from relrep_exp.report.tables.axis_tables import axis_table, metrics_table, variations_table
from relrep_exp.report.tables.pair_tables import pairs_table
from relrep_exp.report.tables.points import Place, selected
from report.reading import csv_of, markdown_row, note_of, terminal
from report.synthetic import ENCODERS, found, grid, plausible
from report.synthetic_paper import experiment_of, runs_of, table_of
from report.synthetic_points import Point, along, experiment, point

METHODS = {"param-wip": [], "absolute": ["aligner=absolute"], "random-cosine": []}
PLANNED = ExperimentConfig("x", "X", METHODS, axes={"seed": [0, 1]})


def gap(method, seed, reason="failed: out of memory", varied=None, **at):
    return Place(method, {"seed": seed, **at}, varied, "key", f"python run.py seed={seed}", reason)


def points(*records):
    return [Point(one.method, {"seed": one.config["seed"]}, None, one) for one in records]


def table(*records, gaps=(), planned=PLANNED):
    return pairs_table(planned, points(*records), gaps)


def test_every_method_has_its_column_in_the_experiments_order_absolute_first():
    shown = table(plausible("random-cosine", 0), gaps=[gap("param-wip", 0)])
    assert shown.header[2:] == ("absolute", "param-wip", "random-cosine")
    assert [row["reason"] for row in csv_of(shown)][:6] == [
        *("missing: not run", "missing: failed", ""),
        *("", "missing: failed", ""),  # absolute has nothing between two encoders
    ]


def test_a_cell_is_missing_where_all_its_runs_are_and_has_fewer_seeds_where_some_are():
    runs = [grid("param-wip", seed, lambda s, t: 0.5) for seed in (0, 1)]
    runs.append(grid("random-cosine", 0, lambda s, t: 0.4))
    gaps = [gap("random-cosine", 1, "killed (signal 9)")]
    gaps += [gap("absolute", 0, "failed: no disk"), gap("absolute", 1, "not run yet")]
    shown = table(*runs, gaps=gaps)
    assert markdown_row(shown, "mlp", "mlp") == (
        "| mlp | mlp | missing: failed, not run | 50.00 ± 0.00 | 40.00 |"
    )
    assert markdown_row(shown, "mlp", "vit") == "| mlp | vit | - | 50.00 ± 0.00 | 40.00 |"
    assert markdown_row(shown, "mean", "matching").startswith(
        "| mean | matching | missing: failed, not run |"
    )
    assert shown.header[4] == "random-cosine" and "random-cosine (n=1)" in to_markdown(shown)


def test_where_only_absolute_ran_the_pairs_of_the_others_are_there():
    absolute = grid("absolute", 0, lambda s, t: 0.9)
    shown = table(absolute, gaps=[gap("param-wip", 0), gap("random-cosine", 0)])
    pairs = [(line.target, line.source) for line in shown.rows if not line.closing]
    assert pairs == [(target, source) for target in ENCODERS for source in ENCODERS]
    assert markdown_row(shown, "mlp", "vit") == "| mlp | vit | - | missing: failed | missing: failed |"
    assert markdown_row(shown, "mlp", "mlp") == "| mlp | mlp | 90.00 | missing: failed | missing: failed |"


def test_a_cell_knows_its_records():
    runs = [plausible("param-wip", seed) for seed in (0, 1)]
    shown = table(*runs, planned=replace(PLANNED, methods={"param-wip": []}))
    assert all(set(cell.keys) == {one.key for one in runs} for line in shown.rows for cell in line.cells)
    metrics = experiment(metrics=["mrr"], table="metrics", methods={"x": []})
    one = point("x", 0, {"mrr": 0.5})
    assert metrics_table(metrics, [one]).rows[0].cells[0].keys == (one.record.key,)


def test_retrieval_goes_by_the_source_and_ranks_each_metric_apart():
    planned = ExperimentConfig(
        "x", "X", {"param-wip": [], "random-cosine": []}, metrics=["recall@1", "mrr"], sources=["vit", "mlp"]
    )
    shown = table(*(found(m, seed) for m in planned.methods for seed in range(6)), planned=planned)
    assert shown.header == (
        *("source", "zero-shot encoder"),
        *("param-wip R@1", "param-wip MRR", "random-cosine R@1", "random-cosine MRR"),
    )
    assert [(line.target, line.source) for line in shown.rows][:2] == [("mlp", "conv"), ("mlp", "vit")]
    [values] = [[cell.mean for cell in line.cells] for line in shown.rows if line.target == "conv"][:1]
    rows = [row for seed in range(6) for row in found("param-wip", seed).rows if row[:2] == ("conv", "mlp")]
    means = [np.mean([row.value for row in rows if row.metric == name]) for name in ("recall@1", "mrr")]
    assert values[:2] == pytest.approx(means)
    assert [cell.best for cell in shown.rows[0].cells] == [True, True, False, False]


def test_a_place_on_the_axis_that_nobody_ran_has_its_row():
    planned = experiment(metrics=["mrr"], x="anchors.m", axes={"anchors.m": [10, 100, 300], "seed": [0]})
    runs = along("anchors.m", (10, 100), (0,), lambda m, x, s: {"mrr": 0.5})
    gaps = [gap(m, 0, reason, **{"anchors.m": 300}) for m, reason in (("x", "killed"), ("y", "not run yet"))]
    shown = axis_table(planned, runs, gaps)
    assert markdown_row(shown, "300", "MRR") == "| 300 | MRR | missing: killed | missing: not run |"
    assert markdown_row(shown, "10", "MRR") == "| 10 | MRR | 0.500 | 0.500 |"


def test_a_method_that_nobody_ran_has_its_column_of_metrics():
    shown = metrics_table(
        experiment(metrics=["mrr"], table="metrics"), [point("x", 0, {"mrr": 0.5})], [gap("y", 0)]
    )
    assert markdown_row(shown, "MRR", "pairs") == "| MRR | pairs | 0.500 | missing: failed |"


def test_a_variation_that_nobody_ran_stands_with_its_key():
    planned = experiment(vary={"lr": [0.1, 0.2], "k": [1]}, table="variations")
    runs = [point("x", 0, {"f1_weighted": 0.5}), point("x", 0, {"f1_weighted": 0.6}, ("lr", 0.1))]
    runs.append(point("x", 0, {"f1_weighted": 0.4}, ("k", 1)))
    shown = variations_table(planned, runs, [gap("x", 0, varied=("lr", 0.2)), gap("y", 0)])
    assert [(line.target, line.source) for line in shown.rows] == [
        ("own setting", ""),
        ("lr", "0.1"),
        ("lr", "0.2"),
        ("k", "1"),
    ]
    assert markdown_row(shown, "own setting", "") == "| own setting |  | 50.00 | missing: failed |"
    assert markdown_row(shown, "lr", "0.2") == "| lr | 0.2 | missing: failed | - |"


def test_without_any_record_the_rows_are_the_papers_and_each_says_why_it_is_empty():
    shown = table_of("table3", [])
    assert [(line.target, line.source) for line in shown.rows if not line.closing] == [
        *(("tinyllama", name) for name in ("gpt2", "gpt2_medium", "gemma3_1b")),
        *(("gpt2", name) for name in ("tinyllama", "gpt2_medium", "gemma3_1b")),
    ]
    assert "| gpt2 | tinyllama | missing: failed<br>paper 1.72 ± 0.25 |" in to_markdown(shown)
    assert "No record of 12 run(s):" in note_of(shown) and "ours less" not in note_of(shown)
    assert {row["n"] for row in csv_of(shown)} == {"0"}


def test_without_any_record_of_the_local_form_no_rows_are_made_up():
    shown = table_of("table1", [], "local")
    assert [(line.target, line.source) for line in shown.rows] == [
        ("mean", "off-diagonal"),
        ("mean", "matching"),
    ]
    assert markdown_row(shown, "mean", "off-diagonal") == (
        "| mean | off-diagonal | - | missing: failed | missing: failed | missing: failed |"
    )


def test_some_test_encoders_are_shown_and_it_is_said():
    shown = table_of("table2", runs_of("table6", config=None))
    assert {line.target for line in shown.rows if not line.closing} == {"en", "fr"}
    assert experiment_of("table2").test_encoders == ["fr", "en"]
    assert "Of all pairs only those with the test encoders fr, en." in note_of(shown)


def test_a_view_of_one_encoder_is_shown_where_the_encoder_is():
    views = [{"kind": "latents", "encoder": name} for name in "abc"]
    views += [{"kind": "samples", "source": source, "target": "b"} for source in "ac"]
    one = Point("x", {"seed": 0}, None, replace(plausible("param-wip", 0), views=views))
    [shown] = selected(experiment(encoders=["a", "b"], test_encoders=["b"]), [one])
    assert shown.record.views == [views[1], views[3]]


def test_a_long_reason_folds_in_a_terminal():
    text = terminal(table(plausible("param-wip", 0), gaps=[gap("random-cosine", 0, "interrupted")]))
    assert any(line.endswith("missing:") for line in text.splitlines()) and "interrupted" in text
