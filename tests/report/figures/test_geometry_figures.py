"""The figures of deformed spaces show what the records hold, and their CSV what they show."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from relrep_exp.app.plan import make_plan
from relrep_exp.app.run import run as make_record
from relrep_exp.errors import UserError
from relrep_exp.report.figures.geometry_figures import invariances_figure, spaces_figure
from relrep_exp.report.tables.points import Point

SAMPLES = 15


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A function that makes the points of an experiment on a few samples."""
    folder = tmp_path_factory.mktemp("geometry")
    less = ["data.train=60", f"data.test={SAMPLES}", "logger=none", f"paths.outputs={folder}"]

    def made(name, *words):
        plan = make_plan([f"experiment={name}", *less, *words], sweep=False)
        records = [make_record(run.request, run.command, folder / "run").record for run in plan]
        points = [
            Point(r.arm.method, r.arm.at, None, record) for r, record in zip(plan, records, strict=True)
        ]
        return plan[0].config.experiment, points

    return made


@pytest.fixture(scope="module")
def spaces(runs):
    experiment, points = runs("fig2", "seed=0")
    return spaces_figure(experiment, points), points


@pytest.fixture(scope="module")
def invariances(runs):
    experiment, points = runs("fig1", "seed=0,1")
    return invariances_figure(experiment, points), points


def value(point, metric, source, target):
    [found] = [
        r.value for r in point.record.rows if (r.source, r.target, r.metric) == (source, target, metric)
    ]
    return found


def view(point, encoder):
    [found] = [view for view in point.record.views if view.get("encoder") == encoder]
    return found


def titled(figure, start):
    [axes] = [axes for axes in figure.axes if axes.get_title().startswith(start)]
    return axes


def dots(axes):
    return np.concatenate([np.asarray(it.get_offsets()) for it in axes.collections])


def of(drawing, **wanted):
    """The CSV's rows whose columns hold these words, or begin with them."""
    rows = [dict(zip(drawing.columns, row, strict=True)) for row in drawing.rows]
    return [row for row in rows if all(f"{row[key]} ".startswith(f"{it} ") for key, it in wanted.items())]


def test_spaces_have_a_row_each_and_a_column_for_every_method(spaces):
    drawing, points = spaces
    titles = [axes.get_title() for axes in drawing.figure.axes]
    assert len(titles) == 3 * (1 + len(points)) == 15
    assert [t for t in titles if t.startswith("space")] == [
        "space: original",
        "space: deformed_a\n50°, 4:1, +3",
        "space: deformed_b\n160°, 6:1, ×0.7, +4",
    ]
    assert "RR: wip, λ = 0.15" in titles and "RR: wip_exact, λ = 0" in titles


def test_the_cosines_are_those_of_the_records(spaces):
    drawing, points = spaces
    titles = Counter(axes.get_title() for axes in drawing.figure.axes)
    for point in points:
        for encoder in ("deformed_a", "deformed_b"):
            cosine = value(point, "rr_cosine", "original", encoder)
            assert f"cosine with original {cosine:.3f}" in titles
            [row] = of(drawing, panel=point.method, encoder=encoder, item="cosine")
            assert row["value"] == cosine


def test_every_dot_is_drawn_where_the_csv_says(spaces):
    drawing, points = spaces
    axes = titled(drawing.figure, "RR: euclidean")
    expected = view(points[0], "original")["rr"]
    rows = of(drawing, panel="euclidean", encoder="original", item="sample")
    assert [[row["x"], row["y"]] for row in rows] == expected and len(rows) == SAMPLES
    assert sorted(map(tuple, dots(axes).tolist())) == sorted(map(tuple, expected))
    kinds = Counter((row["panel"], str(row["item"]).split()[0]) for row in of(drawing))
    assert kinds["space", "sample"] == 3 * SAMPLES and kinds["space", "anchor"] == 3 * 2


def test_invariances_print_the_mean_over_the_runs(invariances):
    drawing, points = invariances
    axes = titled(drawing.figure, "iii)")
    methods, encoders = (
        ["euclidean", "cosine", "wip", "wip_exact"],
        list(points[0].record.config["encoders"])[1:],
    )
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    for column, method in enumerate(methods):
        for row, encoder in enumerate(encoders):
            values = [value(p, "nmse", "original", encoder) for p in points if p.method == method]
            assert len(values) == 2
            mean = sum(values) / 2
            assert texts[column, row] == ("0" if mean < 5e-4 else f"{mean:.3f}")
            [drawn] = of(drawing, panel=f"iii {method}", encoder=encoder, item="nmse")
            assert drawn["value"] == pytest.approx(mean)
    assert texts[methods.index("wip_exact"), encoders.index("deformed_a")] == "0"
    assert texts[methods.index("cosine"), encoders.index("shifted")] != "0"


def test_collinear_and_random_anchors_stand_side_by_side_with_their_rank(invariances):
    drawing, points = invariances
    for method, name in (("cosine", "random"), ("cosine_collinear", "collinear")):
        point = next(point for point in points if point.method == method)
        axes = titled(drawing.figure, f"RR by cosine, {name} anchors")
        rank = value(point, "effective_rank", "original", "original")
        assert axes.get_title().endswith(f"effective rank {rank:.2f}")
        expected = view(point, "original")["rr"]
        assert sorted(map(tuple, dots(axes).tolist())) == sorted(map(tuple, expected))


def test_noise_is_drawn_for_the_anchors_of_all_runs(invariances):
    drawing, points = invariances
    for sim in ("cosine", "wip"):
        runs = [point for point in points if point.method == sim]
        rows = of(drawing, panel=f"ii {sim}", item="anchor")
        expected = []
        for point in runs:
            clean, noisy = view(point, "original"), view(point, "noisy")
            before, after = np.array(clean["rr"]), np.array(noisy["rr"])
            spread = np.sqrt(before.var(0, ddof=1).sum())
            for k, anchor in enumerate(clean["anchors"]):
                moved = np.sqrt(np.mean((after[:, k] - before[:, k]) ** 2)) / spread
                expected.append((np.hypot(*anchor), moved))
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


def test_runs_that_keep_nothing_to_draw_are_told(runs):
    experiment, points = runs("fig2", "seed=0")
    bare = [
        dataclasses.replace(p, record=dataclasses.replace(p.record, views=p.record.views[:1])) for p in points
    ]
    for figure in (spaces_figure, invariances_figure):
        with pytest.raises(UserError, match="more than a figure can show"):
            figure(experiment, bare)
