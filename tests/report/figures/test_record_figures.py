"""Figures show what the records hold, and are the same bytes every time."""

from __future__ import annotations

import math

import numpy as np

from relrep_exp.report.figures.record_figures import pair_matrix, samples_figure
from relrep_exp.report.tables.points import Point
from relrep_exp.store.records import Row
from report.synthetic import plausible, record
from report.synthetic_points import experiment

METHODS = ("random-cosine", "absolute", "param-wip")


def drawn(records):
    points = [Point(run.method, {"seed": run.config["seed"]}, None, run) for run in records]
    return samples_figure(experiment(), points).figure


def test_one_panel_per_method_in_the_tables_order_with_its_score():
    figure = drawn([plausible(method, seed) for seed in (1, 0) for method in METHODS])
    titles = [panel.get_title() for panel in figure.axes]
    assert [title.splitlines()[0] for title in titles] == ["absolute", "random-cosine", "param-wip"]
    assert "dimensions differ" in titles[0]
    scores = [
        row.value
        for seed in (0, 1)
        for row in plausible("param-wip", seed).rows
        if row.metric == "f1_weighted" and row.source != row.target
    ]
    assert titles[2].endswith(f"weighted F1 {100 * np.mean(scores):.2f} %")


def test_a_panel_joins_the_two_versions_of_each_sample_of_the_lowest_seed():
    runs = [plausible("param-wip", seed) for seed in (3, 2)]
    (panel,) = drawn(runs).axes
    own, other = (np.asarray(collection.get_offsets()) for collection in panel.collections)
    view = runs[1].views[0]
    np.testing.assert_allclose(own, view["native"])
    np.testing.assert_allclose(other, view["carried"])
    joins = [line.get_xydata() for line in panel.lines]
    np.testing.assert_allclose(joins, np.stack([own, other], axis=1))
    circles, triangles = panel.collections
    np.testing.assert_allclose(circles.get_facecolors(), triangles.get_edgecolors())
    assert len(triangles.get_facecolors()) == 0


def test_classes_have_a_legend_where_there_are_any():
    run = plausible("param-wip", 0)
    assert drawn([run]).legends
    unlabelled = record("x", 0, run.rows, views=[{**run.views[0], "labels": [0] * 30}])
    assert not drawn([unlabelled]).legends


def test_a_method_without_a_view_says_so():
    blind = record("x", 0, [Row("a", "b", "x", "f1_weighted", 0.5)])
    _, panel = drawn([plausible("param-wip", 0), blind]).axes
    assert [text.get_text() for text in panel.texts] == ["no view in the record"]


def test_the_pair_matrix_prints_every_value_where_it_belongs():
    rows = [Row("a", "b", "x", "f1_weighted", 0.25), Row("b", "a", "x", "f1_weighted", math.nan)]
    rows += [Row(name, name, "x", "f1_weighted", 0.5) for name in "ab"]
    axes = pair_matrix(record("x", 0, rows), "f1_weighted").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    printed = {text.get_position(): text.get_text() for text in axes.texts}
    # the classifier's encoder runs along x, the test encoder along y
    assert printed == {(0, 0): "50.00", (1, 0): "-", (0, 1): "25.00", (1, 1): "50.00"}


def test_the_same_records_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        point = Point("param-wip", {"seed": 0}, None, plausible("param-wip", 0))
        samples_figure(experiment(), [point]).save(tmp_path / folder, "samples")
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")
    ]
    assert files[0] == files[1] and sorted(files[0]) == ["samples.csv", "samples.png", "samples.svg"]
    assert files[0]["samples.png"][:4] == b"\x89PNG" and b"<dc:date>" not in files[0]["samples.svg"]
