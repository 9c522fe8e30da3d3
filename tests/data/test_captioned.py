"""Images with texts in tables of the user's own."""

import json

import numpy as np
import pytest
import reading as sources
from PIL import Image
from reading import told

from relrep_exp.config.schema import CaptionedData
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.samples import BadSampleError

SECTIONS = ["Art", "Sports"]
TRAIN, TEST = 6, 4
VIEWS = [IMAGE, "en"]


def rows(split):
    first, count = (0, TRAIN) if split == "train" else (TRAIN, TEST)
    return [
        {"text": f"Text {n}", "image": f"photos/{n}.png", "label": SECTIONS[n % 2]}
        for n in range(first, first + count)
    ]


def write(root, change=lambda row: row, suffix="jsonl"):
    """A made set: grey images whose value is their number, and a table for each split."""
    (root / "photos").mkdir(parents=True)
    for n in range(TRAIN + TEST):
        Image.fromarray(np.full((4, 6), n, np.uint8)).save(root / "photos" / f"{n}.png")
    for split in ("train", "test"):
        made = [change(row) for row in rows(split)]
        if suffix == "json":  # a list, as N24News is
            (root / f"{split}.json").write_text(json.dumps(made, indent=1))
        else:
            sources.write(root / f"{split}.{suffix}", made)
    return root


def config(root, **more):
    return CaptionedData(kind="captioned", name="news", root=None if root is None else str(root), **more)


def load(root, views=VIEWS, **more):
    return sources.load(config(root, **more), views, True)


def identity(root, views=VIEWS, **more):
    return sources.identity(config(root, **more), views, True)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json"])
def test_row_n_is_the_same_sample_in_both_views(tmp_path, suffix):
    samples = load(write(tmp_path / "news", suffix=suffix))
    assert samples.parallel
    image, text = samples.views[IMAGE], samples.views["en"]
    for row in range(TRAIN + TEST):
        assert image.samples[row].tolist() == np.full((4, 6), row).tolist()
        assert text.samples[row] == f"Text {row}"
    for view in (image, text):
        assert view.is_train.tolist() == [True] * TRAIN + [False] * TEST
        assert view.labels.tolist() == [n % 2 for n in range(TRAIN + TEST)]


def test_n24news_as_it_is_distributed(tmp_path):
    """A list of articles with more than is read, splits in a folder, images by number."""
    root = tmp_path / "n24news"

    def article(row):
        return {
            "headline": row["text"],
            "abstract": "More",
            "byline": {"person": [], "original": None},
            "image_id": row["image"].split("/")[1][:-4],
            "section": row["label"],
        }

    write(root, article, "json")
    (root / "news").mkdir()
    for split in ("train", "test"):
        (root / f"{split}.json").rename(root / "news" / f"nytimes_{split}.json")
    (root / "photos").rename(root / "imgs")
    samples = load(
        root,
        train="news/nytimes_train",
        test="news/nytimes_test",
        text=["headline", "abstract"],
        image="image_id",
        image_path="imgs/{}.png",
        label="section",
    )
    assert samples.views["en"].samples[7] == "Text 7. More"
    assert samples.views[IMAGE].samples[7].max() == 7


def test_a_limit_keeps_the_first_of_each_split_in_both_views(tmp_path):
    samples = load(write(tmp_path / "news"), limit=3)
    assert list(samples.views["en"].samples) == [f"Text {n}" for n in (0, 1, 2, 6, 7, 8)]
    assert [int(samples.views[IMAGE].samples[row].max()) for row in range(6)] == [0, 1, 2, 6, 7, 8]


def test_missing_images_are_told_at_once_or_left_to_be_skipped(tmp_path):
    root = write(tmp_path / "news")
    for n in (1, 7):
        (root / "photos" / f"{n}.png").unlink()
    (problem,) = told(load, root)
    assert "photos/1.png" in problem.what
    assert "photos/7.png" in problem.what
    assert "data.on_error=skip" in problem.remedy
    assert list(load(root, ["en"]).views) == ["en"], "texts alone need no image"
    image = load(root, on_error="skip").views[IMAGE]
    with pytest.raises(BadSampleError, match="there is no file"):
        image.samples[1]
    assert image.samples[2].max() == 2


def test_labels_that_training_does_not_have(tmp_path):
    def change(row):
        return {**row, "label": "Opera"} if row["text"] == "Text 8" else row

    (problem,) = told(load, write(tmp_path / "news", change))
    assert "never occur in training: 'Opera'" in problem.what


@pytest.mark.parametrize("path", ["/etc/photo.png", "../photo.png", ""])
def test_an_image_outside_the_folder_is_refused(tmp_path, path):
    def change(row):
        return {**row, "image": path} if row["text"] == "Text 2" else row

    (problem,) = told(load, write(tmp_path / "news", change))
    assert "train.jsonl, row 3" in problem.what
    assert "relative to data.root" in problem.remedy


def test_what_is_not_there_is_told_with_its_key(tmp_path):
    root = write(tmp_path / "news")
    assert "data.root=DIR" in told(identity, None)[0].remedy
    assert "there is no such folder" in told(identity, tmp_path / "no")[0].what
    found = told(load, root, text=["texts"], image="picture", label="section")
    assert [problem.remedy.split(";")[0] for problem in found[:3]] == [
        "set data.text=COLUMN, or [COLUMN,COLUMN]",
        "set data.image=COLUMN",
        "set data.label=COLUMN",
    ]
    assert any("validation" in problem.what for problem in told(identity, root, test="validation"))
    assert "'de'" in told(identity, root, [IMAGE, "de"])[0].what


def test_the_identity_of_a_view_follows_what_it_reads(tmp_path):
    root = write(tmp_path / "news")
    before = identity(root)
    assert identity(write(tmp_path / "copy")) == before
    assert identity(root, ["en"])["en"] == before["en"]
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / "photos" / "3.png")
    after = identity(root)
    assert after[IMAGE] != before[IMAGE]
    assert after["en"] == before["en"]
    (root / "test.jsonl").write_text((root / "test.jsonl").read_text().replace("Text 9", "Text nine"))
    assert identity(root)["en"] != before["en"]
