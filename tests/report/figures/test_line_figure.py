"""Lines along an axis: what is drawn is the CSV, bands are numpy's, a flat method is a horizontal line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relrep_exp.report.figures.line_figure import lines_figure
from relrep_exp.report.tables.points import Point
from report.synthetic_points import along, experiment, point

XS, SEEDS = (10, 30, 300), (0, 1, 2)
FIG3 = experiment(
    metrics=["accuracy", "nmse"],
    x="anchors.m",
    axes={"anchors.m": [*XS], "seed": [*SEEDS]},
    table="axis",
    figure="lines",
)


def value(method, x, seed):
    own = 0.3 + 0.1 * (method == "y") + 0.02 * seed * (method == "y") + x / 1000
    return {"accuracy": own, "nmse": 1 - own}


def absolute():
    """The same record at every number of anchors, as it does not depend on it."""
    runs = [point("absolute", seed, {"accuracy": 0.9 + seed / 100}) for seed in SEEDS]
    return [
        Point("absolute", {"seed": r.at["seed"], "anchors.m": x}, None, r.record) for r in runs for x in XS
    ]


@pytest.fixture(scope="module")
def drawing():
    return lines_figure(FIG3, [*along("anchors.m", XS, SEEDS, value), *absolute()])


def panels_of(figure):
    return {panel.get_title().split(" ")[0]: panel for panel in figure.axes}


def test_a_panel_for_each_metric_and_a_line_and_a_band_for_each_method_with_the_numbers_of_the_csv(drawing):
    panels = panels_of(drawing.figure)
    assert drawing.columns == ("metric", "x", "method", "mean", "std", "n")
    assert [panel.get_title() for panel in drawing.figure.axes] == ["accuracy in % ↑", "nMSE ↓"]
    for metric, title, factor in (("accuracy", "accuracy", 100), ("nmse", "nMSE", 1)):
        for line, method in zip(panels[title].lines[-2:], ("x", "y"), strict=True):
            told = [row for row in drawing.rows if (row[0], row[2]) == (metric, method)]
            assert [row[1] for row in told] == list(XS)
            np.testing.assert_allclose(line.get_xdata(), XS)
            np.testing.assert_allclose(line.get_ydata(), [factor * row[3] for row in told])
            expected = [[value(method, x, seed)[metric] for seed in SEEDS] for x in XS]
            np.testing.assert_allclose([row[3] for row in told], np.mean(expected, axis=1))
            np.testing.assert_allclose([row[4] for row in told], np.std(expected, axis=1, ddof=1), atol=1e-15)
            assert {row[5] for row in told} == {3}
    band = panels["accuracy"].collections[-1].get_paths()[0].vertices  # of y
    middle = [value("y", 30, seed)["accuracy"] for seed in SEEDS]
    heights = np.unique(np.round(band[np.isclose(band[:, 0], 30), 1], 9))
    spread = np.std(middle, ddof=1)
    np.testing.assert_allclose(heights, 100 * np.mean(middle) + np.array([-1, 1]) * 100 * spread)


def test_a_method_that_does_not_depend_on_the_axis_is_a_dashed_horizontal_line_without_x(drawing):
    [told] = [row for row in drawing.rows if row[2] == "absolute"]
    assert told[:3] == ("accuracy", "", "absolute")
    assert told[3] == pytest.approx(0.91) and told[4] == pytest.approx(0.01) and told[5] == 3
    panels = panels_of(drawing.figure)
    line = panels["accuracy"].lines[0]
    assert list(line.get_ydata()) == pytest.approx([91, 91]) and line.is_dashed()
    assert len(panels["nMSE"].lines) == 2  # the absolute one has no such metric
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert sorted(labels) == ["absolute", "x", "y"]


@pytest.mark.parametrize(
    "xs", [(5, 10, 20, 40, 60, 80, 100, 200, 500), (10, 30, 100, 300, 500, 768, 1000, 1500), (20, 21, 22, 60)]
)
def test_numbers_below_the_axis_do_not_touch_and_every_value_has_a_tick(xs):
    found = lines_figure(FIG3, along("anchors.m", xs, (0,), value))
    found.figure.draw_without_rendering()
    for panel in found.figure.axes:
        np.testing.assert_allclose(panel.get_xticks(), xs)
        texts = [label for label in panel.get_xticklabels() if label.get_text()]
        assert [texts[0].get_text(), len(texts) >= 2] == [str(xs[0]), True]
        ends = [label.get_window_extent().x1 for label in texts]
        digit = 0.73 * texts[0].get_fontsize() * found.figure.dpi / 72  # its height
        assert min(np.diff(ends)) / 2**0.5 > digit  # across lines of text that slant by 45 degrees


def test_one_seed_has_no_band_and_a_missing_run_no_marker():
    kept = [p for p in along("anchors.m", XS, (0,), value) if (p.method, p.at["anchors.m"]) != ("x", 30)]
    found = lines_figure(FIG3, kept)
    assert [row[1] for row in found.rows if row[:3:2] == ("nmse", "x")] == [10, 300]
    assert all(np.isnan(row[4]) for row in found.rows)
    for panel in found.figure.axes:
        for band in panel.collections:
            vertices = band.get_paths()[0].vertices
            assert len(np.unique(np.round(vertices, 9), axis=0)) == len(np.unique(vertices[:, 0]))


@pytest.mark.parametrize(
    ("xs", "scale"), [((10, 30, 300), "log"), ((10, 30, 90), "linear"), ((0, 300), "linear")]
)
def test_an_axis_of_more_than_a_decade_is_logarithmic_and_has_its_values_as_ticks(xs, scale):
    runs = along("anchors.m", xs, (0,), lambda m, x, s: {"accuracy": 0.5, "nmse": 0.5})
    for panel in lines_figure(FIG3, runs).figure.axes:
        assert panel.get_xscale() == scale
        assert [text.get_text() for text in panel.get_xticklabels()] == [str(x) for x in xs]


def test_names_on_the_axis_stand_side_by_side():
    shown = replace(FIG3, x="sim", axes={"sim": ["wip", "cosine"]})
    runs = along("sim", ("wip", "cosine"), (0,), lambda m, x, s: {"accuracy": 0.5, "nmse": 0.5})
    assert {row[1] for row in lines_figure(shown, runs).rows} == {"cosine", "wip"}


def test_the_support_set_has_its_moderate_range_from_the_dimensions_in_the_record():
    shown = replace(FIG3, x="aligner.support", axes={"aligner.support": [*XS]})
    runs = along("aligner.support", XS, SEEDS, value)
    assert not any(panel.patches for panel in lines_figure(shown, runs).figure.axes)
    fit = {"b+c": {"support_size": 10, "dims": {"a": 10, "b": 20, "c": 30}}}
    known = [replace(p, record=replace(p.record, diagnostics={"a": fit, "samples": {"n": 1}})) for p in runs]
    figure = lines_figure(shown, known).figure
    for panel in figure.axes:
        [box] = panel.patches
        assert (box.get_x(), box.get_x() + box.get_width()) == (5 * 20, 15 * 20)
    assert "5 to 15 samples per dimension (d = 20" in figure.legends[0].get_texts()[-1].get_text()
