"""The figure of anchors shows the record's thumbnails and tells its numbers."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from relrep_exp.errors import UserError
from relrep_exp.report.figures.anchor_figure import anchors_figure
from relrep_exp.report.tables.points import Point
from report.synthetic import single
from report.synthetic_points import experiment

WIDTH, HEIGHT, COUNT = 5, 4, 6
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, HEIGHT, WIDTH), dtype=np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def strip(rows):
    return png(np.concatenate([IMAGES[row] for row in rows], axis=1))


def view(anchors, points):
    made = [
        {
            "support": support,
            "weights": [0.4 / (n + 1) for n in range(len(support))],
            "nearest": [*range(number, number + COUNT)],
            "support_images": strip(support),
            "nearest_images": strip(range(number, number + COUNT)),
            "mixture": png(IMAGES[-1 - number]),
        }
        for number, support in enumerate(anchors)
    ]
    shared = {"kind": "anchors", "source": "mlp", "target": "vit", "support": 50, "size": [WIDTH, HEIGHT]}
    return {**shared, "effective_points": points, "anchors": made}


def points(**views):
    runs = {name: single(name, 0, 0.5, views=[{"kind": "samples"}, one]) for name, one in views.items()}
    return [Point(name, {"seed": 0}, None, run) for name, run in runs.items()]


MULTI = view([[3, 1, 4, 15, 9, 2], [7, 8, 0, 6, 5, 11]], [30.0, 20.0, 25.0])
RANDOM = view([[12]], [1.0, 1.0, 1.0])


def images_of(figure):
    """The images of every row of axes that shows any, from left to right."""
    upper = figure.subfigs[0]
    rows = {}
    for axes in upper.axes:
        for image in axes.images:
            rows.setdefault(axes.get_subplotspec().rowspan.start, []).append(np.asarray(image.get_array()))
    return [rows[number] for number in sorted(rows)]


@pytest.fixture(scope="module")
def drawing():
    return anchors_figure(experiment(), points(multi=MULTI, random=RANDOM))


def test_a_row_for_each_anchor_of_the_first_method_weighted_then_mixed_then_near(drawing):
    figure = drawing.figure
    shown = images_of(figure)
    assert len(shown) == 2
    for number, (row, anchor) in enumerate(zip(shown, MULTI["anchors"], strict=True)):
        expected = [*IMAGES[anchor["support"]], IMAGES[-1 - number], *IMAGES[anchor["nearest"]]]
        np.testing.assert_array_equal(row, expected)
    texts = [text.get_text() for axes in figure.subfigs[0].axes for text in axes.texts]
    assert {"40.0 %", "20.0 %", "13.3 %", "anchor 0\n30 points", "anchor 1\n20 points"} <= set(texts)


def test_the_csv_has_weights_neighbours_and_the_effective_points_of_every_method(drawing):
    assert drawing.columns == ("what", "method", "anchor", "rank", "training_sample", "value")
    weights = [row for row in drawing.rows if row[0] == "weight"]
    assert weights[7] == ("weight", "multi", 1, 1, 8, 0.2)
    assert ("nearest", "multi", 1, 5, 6, "") in drawing.rows
    spread = [row for row in drawing.rows if row[0] == "effective_points"]
    assert [(row[1], row[5]) for row in spread] == [
        *(("multi", value) for value in (30.0, 20.0, 25.0)),
        *(("random", 1.0) for _ in range(3)),
    ]
    lower = drawing.figure.subfigs[1].axes[0]
    dots = [collection.get_offsets()[:, 0].tolist() for collection in lower.collections]
    assert dots == [MULTI["effective_points"], RANDOM["effective_points"]]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["multi", "random"]


def test_the_lowest_seed_is_shown_and_an_anchor_of_one_sample_has_one_image():
    [run] = points(multi=RANDOM)
    later = Point("multi", {"seed": 1}, None, single("multi", 1, 0.5, views=[MULTI]))
    lowest = anchors_figure(experiment(), [later, run])
    assert {row[5] for row in lowest.rows if row[0] == "effective_points"} == {1.0}
    assert [len(row) for row in images_of(lowest.figure)] == [1 + 1 + COUNT]


def test_records_without_images_say_what_to_do():
    with pytest.raises(UserError, match=r"task\.view_anchors"):
        anchors_figure(experiment(), [Point("x", {"seed": 0}, None, single("x", 0, 0.5))])
