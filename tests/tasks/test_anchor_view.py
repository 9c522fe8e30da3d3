"""What a record keeps of a few anchors: weights of P, neighbours, and the images themselves."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from works import measured, work_of

from relrep_exp.alignment.aligner import AbsoluteAligner, RelativeAligner, SingleRelativeAligner
from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.config.schema import StitchingTask
from relrep_exp.data.image_samples import ArrayImages, Picked
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks.pictures import SHOWN, SIDE, anchor_view

M = 7
TASK = StitchingTask(name="test_stitch", kind="stitching", neighbours=5, view_samples=12, view_anchors=3)


def mixtures(spaces, ids, m, seed):
    """As PARAM's: every support sample has some weight, few have much."""
    logits = torch.randn(m, len(ids), generator=torch.Generator().manual_seed(seed))
    return AnchorSet(ids, torch.softmax(3 * logits, dim=1))


STRATEGIES = {"mixtures": mixtures, "kmeans": "kmeans", "random": "random"}


def pixels(*shape):
    return np.random.default_rng(3).integers(0, 256, (60, *shape), dtype=np.uint8)


def work_with(arrays, images, task=TASK):
    """A run on the arrays' three encoders; `images` are those of the training rows, which come first."""
    split, labels = torch.from_numpy(arrays["is_train"]), torch.from_numpy(arrays["labels"])
    corpora = {name: Corpus(torch.from_numpy(arrays[name]), split, labels) for name in "abc"}
    embeddings = Embeddings(corpora, corpora, dict.fromkeys("abc", "key"), images=images)
    return work_of(embeddings, task=task)


def viewed(arrays, anchors="mixtures", kind=RelativeAligner, images=None):
    """The view of an aligner that was fitted without `a`, its space, and the training embeddings."""
    work = work_with(arrays, ArrayImages(pixels(8, 6) if images is None else images))
    aligner = kind("x", lambda: RelativeSpace(STRATEGIES[anchors], "wip", m=M, support=40, seed=1))
    aligner.fit({name: work.train[name] for name in "bc"}).join("a", work.train["a"])
    [view] = anchor_view(work, aligner, "b", "a")
    return view, aligner.space("b").anchor_set, work.train


def unpack(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


@pytest.mark.parametrize("anchors", sorted(STRATEGIES))
@pytest.mark.parametrize("kind", [RelativeAligner, SingleRelativeAligner])
def test_weights_are_those_of_p_largest_first_and_none_is_zero(arrays, anchors, kind):
    view, chosen, _ = viewed(arrays, anchors, kind)
    assert (view["target"], view["source"], view["support"]) == ("a", "b", 40)
    assert len(view["anchors"]) == 3
    for anchor, row in zip(view["anchors"], chosen.weights, strict=False):
        by_id = dict(zip(chosen.ids.tolist(), row.tolist(), strict=True))
        assert [by_id[number] for number in anchor["support"]] == anchor["weights"]
        largest = sorted((weight for weight in by_id.values() if weight > 0), reverse=True)
        assert anchor["weights"] == largest[:SHOWN]


def test_effective_points_are_those_of_all_anchors(arrays):
    view, chosen, _ = viewed(arrays)
    p = chosen.weights.double().numpy()
    np.testing.assert_allclose(view["effective_points"], np.exp(-(p * np.log(p)).sum(1)), atol=1e-4)
    single, *_ = viewed(arrays, "random")
    assert single["effective_points"] == [1.0] * M


@pytest.mark.parametrize("anchors", ["mixtures", "random"])
def test_neighbours_are_the_nearest_training_samples_in_whitened_space(arrays, anchors):
    view, chosen, train = viewed(arrays, anchors)
    x = train["b"].x.double().numpy()
    covariance = np.cov(x.T)
    shrunk = 0.85 * covariance + (0.15 * np.trace(covariance) / len(covariance) + 5e-8) * np.eye(
        len(covariance)
    )
    precision = np.linalg.inv(shrunk)
    for anchor, row in zip(view["anchors"], chosen.weights.double().numpy(), strict=False):
        away = x - row @ x[chosen.ids.numpy()]
        distances = np.einsum("nd,de,ne->n", away, precision, away)
        assert anchor["nearest"] == np.argsort(distances)[:SHOWN].tolist()
        if anchors == "random":
            assert anchor["nearest"][0] == anchor["support"][0]


@pytest.mark.parametrize("shape", [(8, 6), (9, 5, 3)])
def test_small_images_are_kept_as_they_are_grey_or_in_colour(arrays, shape):
    images = pixels(*shape)
    view, chosen, _ = viewed(arrays, images=images)
    assert view["size"] == [shape[1], shape[0]]
    for anchor, row in zip(view["anchors"], chosen.weights.double().numpy(), strict=False):
        for strip, rows in (("support_images", "support"), ("nearest_images", "nearest")):
            np.testing.assert_array_equal(unpack(anchor[strip]), np.concatenate(images[anchor[rows]], axis=1))
        mixed = np.tensordot(row, images[chosen.ids.numpy()].astype(float), axes=1)
        assert np.abs(unpack(anchor["mixture"]) - mixed).max() <= 0.5 + 1e-4


def test_large_images_are_made_small_and_odd_ones_like_the_first(arrays):
    class Mixed:
        def __len__(self):
            return 60

        def __getitem__(self, row):
            return np.full((100, 50, 3) if row % 2 == 0 else (30, 30), row, np.uint8)

    task = dataclasses.replace(TASK, view_anchors=1)
    whole = AnchorSet(torch.arange(60), torch.full((M, 60), 1 / 60))
    space = RelativeSpace(whole, "wip", m=M)
    aligner = RelativeAligner("x", lambda: space)
    work = work_with(arrays, Mixed(), task)
    aligner.fit({"b": work.train["b"]})
    [view] = anchor_view(work, aligner, "b", "a")
    assert view["size"] == [SIDE // 2, SIDE]
    [anchor] = view["anchors"]
    strip = unpack(anchor["support_images"])
    assert strip.shape == (SIDE, SHOWN * SIDE // 2, 3)
    for number, row in enumerate(anchor["support"]):
        assert (strip[:, number * SIDE // 2 : (number + 1) * SIDE // 2] == row).all()
    assert (unpack(anchor["mixture"]) == round(59 / 2)).all()


def test_there_is_no_view_without_images_without_anchors_or_unasked(arrays):
    work, without = (work_with(arrays, images) for images in (ArrayImages(pixels(2, 2)), None))
    aligner = RelativeAligner("x", lambda: RelativeSpace("random", "wip", m=M)).fit({"b": work.train["b"]})
    assert anchor_view(work, aligner, "b", "a") != [] == anchor_view(without, aligner, "b", "a")
    assert anchor_view(work, AbsoluteAligner().fit(work.train), "b", "a") == []
    unasked = measured(work.embeddings, task=dataclasses.replace(TASK, view_anchors=0))
    assert [view["kind"] for view in unasked.views] == ["samples"]
    asked = measured(work.embeddings, task=TASK)
    assert [view["kind"] for view in asked.views] == ["samples", "anchors"]


def test_picked_images_are_those_of_their_rows():
    images = pixels(4, 4)
    picked = Picked(ArrayImages(images), [5, 2])
    assert len(picked) == 2
    np.testing.assert_array_equal(picked[1], images[2])
