"""The figures of deformed spaces show what the records hold, and their CSV what they show."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from relrep_exp.errors import UserError
from relrep_exp.report.figures.geometry_figures import invariances_figure, spaces_figure
from relrep_exp.report.tables.points import Point
from relrep_exp.store.records import Row
from report.synthetic import record
from report.synthetic_points import experiment

SAMPLES = 15
SETTINGS = {
    "original": {},
    "shifted": {"translation": 4.0},
    "noisy": {"noise": 0.15},
    "deformed_a": {"rotation": 50.0, "condition": 4.0, "scale": 1.0, "translation": 3.0},
    "deformed_b": {"rotation": 160.0, "condition": 6.0, "scale": 0.7, "translation": 4.0},
}
METHODS = {  # method -> anchors, similarity, shrinkage
    "euclidean": ("random", "euclidean", 0.15),
    "cosine": ("random", "cosine", 0.15),
    "wip": ("random", "wip", 0.15),
    "wip_exact": ("random", "wip", 0.0),
    "cosine_collinear": ("collinear", "cosine", 0.15),
}


def run(method, seed):
    """A run of the geometry task on made-up numbers; WIP without shrinkage notices nothing."""
    rng = np.random.default_rng([seed, *method.encode()])
    anchors, sim, shrinkage = METHODS[method]
    rows = [Row("original", "original", method, "effective_rank", rng.uniform(1, 2))]
    views = [{"kind": "samples"}]
    for encoder in SETTINGS:
        nmse = 0.0 if method == "wip_exact" else rng.uniform(0.1, 1)
        rows.append(Row("original", encoder, method, "rr_cosine", rng.uniform(-1, 1)))
        rows.append(Row("original", encoder, method, "nmse", nmse))
        shapes = {"points": SAMPLES, "rr": SAMPLES, "anchors": 2}
        view = {name: rng.normal(size=(count, 2)).tolist() for name, count in shapes.items()}
        labels = (np.arange(SAMPLES) % 3).tolist()
        views.append({"kind": "geometry", "encoder": encoder, "labels": labels, **view})
    parts = {"anchors": {"name": anchors}, "sim": {"name": sim}, "aligner": {"shrinkage": shrinkage}}
    encoders = {name: {"encoder": settings} for name, settings in SETTINGS.items()}
    made = record(method, seed, rows, views=views, config={"method": parts, "encoders": encoders})
    return Point(method, {"seed": seed}, None, made)


@pytest.fixture(scope="module")
def spaces():
    points = [run(method, 0) for method in list(METHODS)[:4]]
    return spaces_figure(experiment(), points), points


@pytest.fixture(scope="module")
def invariances():
    points = [run(method, seed) for method in METHODS for seed in (0, 1)]
    return invariances_figure(experiment(), points), points


def value(point, metric, source, target):
    wanted = (source, target, metric)
    [found] = [row.value for row in point.record.rows if (row.source, row.target, row.metric) == wanted]
    return found


def view(point, encoder):
    [found] = [view for view in point.record.views if view.get("encoder") == encoder]
    return found


def titled(figure, start):
    [axes] = [axes for axes in figure.axes if axes.get_title().startswith(start)]
    return axes


def dots(axes):
    return sorted(
        map(tuple, np.concatenate([np.asarray(it.get_offsets()) for it in axes.collections]).tolist())
    )


def of(drawing, **wanted):
    """The CSV's rows whose columns hold these words, or begin with them."""
    rows = [dict(zip(drawing.columns, row, strict=True)) for row in drawing.rows]
    return [row for row in rows if all(f"{row[key]} ".startswith(f"{it} ") for key, it in wanted.items())]


def test_spaces_have_a_row_each_and_a_column_for_every_method_with_the_records_cosines(spaces):
    drawing, points = spaces
    titles = [axes.get_title() for axes in drawing.figure.axes]
    assert len(titles) == 3 * (1 + len(points)) == 15
    assert [t for t in titles if t.startswith("space")] == [
        "space: original",
        "space: deformed_a\n50°, 4:1, +3",
        "space: deformed_b\n160°, 6:1, ×0.7, +4",
    ]
    assert "RR: wip, λ = 0.15" in titles and "RR: wip_exact, λ = 0" in titles
    for point in points:
        for encoder in ("deformed_a", "deformed_b"):
            cosine = value(point, "rr_cosine", "original", encoder)
            assert f"cosine with original {cosine:.3f}" in titles
            [row] = of(drawing, panel=point.method, encoder=encoder, item="cosine")
            assert row["value"] == cosine


def test_every_dot_is_drawn_where_the_csv_says(spaces):
    drawing, points = spaces
    expected = view(points[0], "original")["rr"]
    rows = of(drawing, panel="euclidean", encoder="original", item="sample")
    assert [[row["x"], row["y"]] for row in rows] == expected and len(rows) == SAMPLES
    assert dots(titled(drawing.figure, "RR: euclidean")) == sorted(map(tuple, expected))
    kinds = Counter((row["panel"], str(row["item"]).split()[0]) for row in of(drawing))
    assert kinds["space", "sample"] == 3 * SAMPLES and kinds["space", "anchor"] == 3 * 2


def test_invariances_print_the_mean_over_the_runs(invariances):
    drawing, points = invariances
    methods, encoders = list(METHODS)[:4], list(SETTINGS)[1:]
    texts = {text.get_position(): text.get_text() for text in titled(drawing.figure, "iii)").texts}
    for column, method in enumerate(methods):
        for row, encoder in enumerate(encoders):
            values = [value(p, "nmse", "original", encoder) for p in points if p.method == method]
            mean = sum(values) / 2
            assert texts[column, row] == ("0" if mean < 5e-4 else f"{mean:.3f}")
            [drawn] = of(drawing, panel=f"iii {method}", encoder=encoder, item="nmse")
            assert drawn["value"] == pytest.approx(mean)
    assert texts[methods.index("wip_exact"), 0] == "0" != texts[methods.index("cosine"), 0]


def test_collinear_and_random_anchors_stand_side_by_side_with_their_rank(invariances):
    drawing, points = invariances
    for method, name in (("cosine", "random"), ("cosine_collinear", "collinear")):
        point = next(point for point in points if point.method == method)
        axes = titled(drawing.figure, f"RR by cosine, {name} anchors")
        rank = value(point, "effective_rank", "original", "original")
        assert axes.get_title().endswith(f"effective rank {rank:.2f}")
        assert dots(axes) == sorted(map(tuple, view(point, "original")["rr"]))


def test_noise_is_drawn_for_the_anchors_of_all_runs(invariances):
    drawing, points = invariances
    for sim in ("cosine", "wip"):
        expected = []
        for point in points:
            if point.method == sim:
                clean, noisy = view(point, "original"), view(point, "noisy")
                before, after = np.array(clean["rr"]), np.array(noisy["rr"])
                spread = np.sqrt(before.var(0, ddof=1).sum())
                moved = np.sqrt(np.mean((after - before) ** 2, axis=0)) / spread
                expected += [(np.hypot(*a), m) for a, m in zip(clean["anchors"], moved, strict=True)]
        rows = of(drawing, panel=f"ii {sim}", item="anchor")
        assert len(expected) == 2 * 2
        np.testing.assert_allclose([(row["x"], row["y"]) for row in rows], expected)


def test_the_turns_are_those_of_the_nearest_and_the_farthest_anchor(invariances):
    drawing, points = invariances
    ends = [
        (complex(*a), complex(*b))
        for point in points
        if point.method == "euclidean"
        for a, b in zip(view(point, "original")["anchors"], view(point, "noisy")["anchors"], strict=True)
    ]
    expected = [
        (abs(a), abs(np.degrees(np.angle(b / a))))
        for a, b in (min(ends, key=lambda it: abs(it[0])), max(ends, key=lambda it: abs(it[0])))
    ]
    rows = of(drawing, panel="ii turns")
    np.testing.assert_allclose([(row["x"], row["value"]) for row in rows], expected)
    texts = [text.get_text() for text in titled(drawing.figure, "ii) directions").texts]
    assert texts == [f"distance {r:.2f}: turned by {angle:.0f}°" for r, angle in expected]


def test_runs_that_keep_nothing_to_draw_are_told(spaces):
    bare = [replace(p, record=replace(p.record, views=p.record.views[:1])) for p in spaces[1]]
    for figure in (spaces_figure, invariances_figure):
        with pytest.raises(UserError, match="more than a figure can show"):
            figure(experiment(), bare)


@pytest.mark.slow
def test_real_runs_are_drawn(outputs, tmp_path):
    from relrep_exp.app.plan import make_plan  # brings torch, which no other test here needs
    from relrep_exp.app.run import run as make_record

    less = ["data.train=60", f"data.test={SAMPLES}", "logger=none", f"paths.outputs={outputs}"]
    plan = make_plan(["experiment=fig1", "seed=0", *less], sweep=False)[:2]
    records = [make_record(one.request, one.command, tmp_path).record for one in plan]
    found = zip(plan, records, strict=True)
    points = [Point(one.arm.method, one.arm.at, None, made) for one, made in found]
    for figure, panel in ((invariances_figure, "i space"), (spaces_figure, "space")):
        drawing = figure(plan[0].config.experiment, points)
        assert all(np.isfinite(row["value"]) for row in of(drawing) if row["value"] != "")
        rows = of(drawing, panel=panel, encoder="original", item="sample")
        assert [[row["x"], row["y"]] for row in rows] == view(points[0], "original")["points"]
