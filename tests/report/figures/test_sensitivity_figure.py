"""The sensitivity figure: panels by effect, changes paired by seed, defaults and outliers told."""

from __future__ import annotations

import numpy as np
import pytest

from relrep_exp.errors import UserError
from relrep_exp.report.figures.sensitivity_figure import sensitivity_figure
from report.synthetic_points import experiment, point

BASE = {0: 0.90, 1: 0.94, 2: 0.92}
SHIFT = {  # key -> value -> change of each seed; 0 for a method's own setting
    "small": {1: (0.0, 0.0, 0.0), 2: (0.001, 0.002, 0.003)},
    "wide": {0.01: (-0.01, -0.02, -0.03), 1.0: (0.0, 0.0, 0.0), 10.0: (0.01, 0.01, 0.01)},
    "named": {"a": (0.0, 0.0, 0.0), "b": (0.004, 0.0, -0.004)},
}


def runs(shifts=SHIFT, method="x"):
    found = [point(method, seed, {"f1_weighted": value}, own=1) for seed, value in BASE.items()]
    for key, values in shifts.items():
        for value, changes in values.items():
            own = {"own": 1} if not any(changes) else {key: value}
            found += [
                point(method, seed, {"f1_weighted": BASE[seed] + change}, (key, value), **own)
                for seed, change in enumerate(changes)
            ]
    return found


def panels_of(drawing):
    return {panel.get_title(): panel for panel in drawing.figure.axes}


def markers(panel):
    """Points with an error bar: (height, half the bar, fill)."""
    found = []
    for container in panel.containers:
        line, _, [bars] = container
        [[low, high]] = bars.get_segments()
        found.append((line.get_ydata()[0], (high[1] - low[1]) / 2, line.get_markerfacecolor()))
    return found


@pytest.fixture(scope="module")
def drawing():
    return sensitivity_figure(experiment(), runs())


def test_the_key_that_moves_most_comes_first_and_the_csv_holds_the_paired_changes(drawing):
    assert [panel.get_title() for panel in drawing.figure.axes] == ["wide", "small", "named"]
    assert drawing.columns == ("key", "method", "value", "metric", "change", "std", "n", "default")
    told = {(row[0], row[2]): row for row in drawing.rows}
    assert told.keys() == {(key, value) for key, values in SHIFT.items() for value in values}
    for (key, value), row in told.items():
        changes = np.array(SHIFT[key][value])
        assert row[4] == pytest.approx(changes.mean(), abs=1e-15)
        assert row[5] == pytest.approx(changes.std(ddof=1), abs=1e-15)
        assert row[6:] == (3, int(not changes.any()))


def test_marks_and_bars_are_the_numbers_of_the_csv_in_points_and_the_own_setting_is_hollow(drawing):
    for key, panel in panels_of(drawing).items():
        told = [row for row in drawing.rows if row[0] == key]
        for (height, half, fill), row in zip(markers(panel), told, strict=True):
            assert height == pytest.approx(100 * row[4]) and half == pytest.approx(100 * row[5])
            assert (fill == "white") == bool(row[7])
        band = panel.patches[0]
        assert band.get_height() == pytest.approx(2 * 100 * np.std(list(BASE.values()), ddof=1))


def test_numbers_over_more_than_a_decade_stand_by_their_logarithm_all_else_side_by_side(drawing):
    panels = panels_of(drawing)
    ticks = {key: [tick.get_text() for tick in panel.get_xticklabels()] for key, panel in panels.items()}
    assert ticks == {"wide": ["0.01", "1", "10"], "named": ["a", "b"], "small": ["1", "2"]}
    assert list(panels["wide"].get_xticks()) == [-2, 0, 1]
    assert list(panels["named"].get_xticks()) == [0, 1]


def test_all_panels_share_a_scale_and_what_is_far_beyond_it_stands_at_the_edge_with_its_value(drawing):
    assert len({panel.get_ylim() for panel in drawing.figure.axes}) == 1
    assert not any(panel.texts for panel in drawing.figure.axes)
    far = sensitivity_figure(experiment(), runs({**SHIFT, "far": {1: (-0.8, -0.8, -0.8)}}))
    [limits] = {panel.get_ylim() for panel in far.figure.axes}
    assert limits[1] < 80
    assert [text.get_text() for text in panels_of(far)["far"].texts] == ["-80.0"]
    assert "off the scale" in far.figure.legends[0].get_title().get_text()
    assert [row[4] for row in far.rows if row[0] == "far"] == [pytest.approx(-0.8)]


def test_a_lost_seed_is_left_out_of_the_pairs():
    kept = [p for p in runs() if not (p.varied == ("wide", 0.01) and p.at["seed"] == 2)]
    [row] = [
        row for row in sensitivity_figure(experiment(), kept).rows if row[0] == "wide" and row[2] == 0.01
    ]
    assert row[4] == pytest.approx(-0.015) and row[6] == 2


def test_several_methods_have_a_line_each_and_their_base_in_the_legend():
    drawing = sensitivity_figure(experiment(), [*runs(), *runs(method="y")])
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert labels == ["x: 92.00 ± 2.00", "y: 92.00 ± 2.00", "own setting"]
    assert {row[1] for row in drawing.rows} == {"x", "y"}


def test_without_a_base_there_is_nothing_to_compare_with():
    with pytest.raises(UserError, match="has its base beside it"):
        sensitivity_figure(experiment(), [p for p in runs() if p.varied])
