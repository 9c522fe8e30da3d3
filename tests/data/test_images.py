"""Labelled images from the hub and from folders in every format: the same samples, known by their content."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from reading import told
from tiny_images import (
    FORMATS,
    LABELS,
    PIXELS,
    TEST,
    TRAIN,
    identity,
    load,
    view,
    write_csv,
    write_folders,
    write_hub,
    write_idx,
    write_jsonl,
)

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data import manifest
from relrep_exp.data.image_samples import image_shape

pytestmark = pytest.mark.usefixtures("arrow_cache")

MNIST = Path(os.environ.get("RELREP_DATA", "nowhere")) / "mnist"
COMMIT = "c0ffee" + "0" * 34


def by_content(one):
    """Images, labels and split whatever the order within a split."""
    rows = zip(one.is_train.tolist(), one.labels.tolist(), (x.tobytes() for x in one.samples), strict=True)
    return sorted(rows)


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_samples(write, tmp_path):
    one = view(write(tmp_path / "data [1]*?"))  # a folder may be called anything
    assert all(x.dtype == np.uint8 and x.shape == (6, 6, 3) for x in one.samples)
    assert one.is_train.tolist() == [True] * TRAIN + [False] * TEST
    expected = zip(one.is_train.tolist(), LABELS.tolist(), (x.tobytes() for x in PIXELS), strict=True)
    assert by_content(one) == sorted(expected)
    packed = pickle.dumps(one.samples)  # they go to other processes, without their pixels
    assert len(packed) < 8000
    assert all(np.array_equal(a, b) for a, b in zip(one.samples, pickle.loads(packed), strict=True))


@pytest.mark.parametrize("write", [write_hub, write_csv, write_jsonl], ids=["parquet", "csv", "jsonl"])
def test_tables_keep_their_order(write, tmp_path):
    one = view(write(tmp_path / "data"))
    np.testing.assert_array_equal(np.stack(list(one.samples)), PIXELS)
    assert one.labels.tolist() == LABELS.tolist()


def test_a_table_that_is_replaced_and_keeps_its_time_is_read_anew(tmp_path):
    path = write_csv(tmp_path / "data") / "train.csv"
    before, time = load(path.parent).views[IMAGE].labels.tolist(), path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("ant", "tmp").replace("bee", "ant").replace("tmp", "bee"))
    os.utime(path, ns=(time, time))
    swapped = {0: 1, 1: 0, 2: 2}
    again = load(path.parent).views[IMAGE].labels.tolist()
    assert again == [swapped[label] for label in before[:TRAIN]] + before[TRAIN:]


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files(packed, tmp_path):
    found = load(write_idx(tmp_path / "data", packed=packed))
    one = pickle.loads(pickle.dumps(found.views[IMAGE]))
    np.testing.assert_array_equal(np.stack(list(one.samples)), PIXELS[..., 0])
    assert one.labels.tolist() == LABELS.tolist()
    assert found.parallel and found.notes == {"samples": {"train": TRAIN, "test": TEST}, "classes": 3}


def test_mnist_as_it_is_distributed():
    if not MNIST.is_dir():
        pytest.skip("RELREP_DATA names no folder with mnist")
    one = view(MNIST, limit=1000)
    assert len(one.samples) == 2000 and one.is_train.sum() == 1000
    assert image_shape(one.samples) == (28, 28)
    assert one.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert one.labels[1000:1005].tolist() == [7, 2, 1, 0, 4]


def test_a_limit_keeps_the_first_of_each_split_and_the_numbers_of_the_classes(tmp_path):
    one = view(write_hub(tmp_path / "data"), limit=2)
    assert one.labels.tolist() == [0, 1, *LABELS[TRAIN : TRAIN + 2].tolist()]
    np.testing.assert_array_equal(one.samples[2], PIXELS[TRAIN])
    with pytest.raises(IndexError):
        one.samples[4]


def test_a_limit_of_image_folders_keeps_every_class(tmp_path):
    assert view(write_folders(tmp_path / "data"), limit=3).labels[:3].tolist() == [0, 1, 2]


def test_a_split_and_a_subset_can_be_named(tmp_path):
    root = write_hub(tmp_path / "data", "one")
    write_hub(root, "two")
    (problem,) = told(view, root)
    assert "several subsets: one, two" in problem.what and "data.subset" in problem.remedy
    assert len(view(root, subset="two").samples) == TRAIN + TEST
    (problem,) = told(view, root, subset="tow")
    assert "data.subset=tow" in problem.what and "did you mean two" in problem.remedy
    (problem,) = told(view, root, subset="two", test="validation")
    assert "data.test=validation" in problem.what and "train-00000-of-00002.parquet" in problem.remedy
    swapped = view(root, subset="two", train="test", test="train")
    assert swapped.is_train.sum() == TEST


# The hub


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub's local cache with one data set in it; its folder of that commit."""
    from huggingface_hub import constants

    home = tmp_path / "hub" / "datasets--me--tiny"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text(COMMIT)
    write_hub(home / "snapshots" / COMMIT)
    card = "---\npretty_name: Tiny\nlicense:\n- cc-by-4.0\n---\n# Tiny\n"
    (home / "snapshots" / COMMIT / "README.md").write_text(card)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return home / "snapshots" / COMMIT


def test_a_data_set_of_the_hub_is_read_from_its_cache(hub_cache):
    found = load(repo="me/tiny")
    np.testing.assert_array_equal(np.stack(list(found.views[IMAGE].samples)), PIXELS)
    counts = {"samples": {"train": TRAIN, "test": TEST}, "classes": 3}
    assert found.notes == {**counts, "licence": "cc-by-4.0"}


def test_the_hubs_identity_is_the_commit(hub_cache):
    one = identity(repo="me/tiny")
    assert one["commit"] == COMMIT and one["repo"] == "me/tiny"
    assert identity(repo="me/tiny", revision=COMMIT) == one
    assert identity(repo="me/tiny", label="other") != one


# Identity


def test_identity_is_of_the_content_and_not_of_the_place(tmp_path):
    root = write_csv(tmp_path / "data")
    one = identity(root)
    assert str(tmp_path) not in json.dumps(one)
    assert identity(shutil.copytree(root, tmp_path / "copy")) == one
    assert identity(root, limit=4) != one
    assert identity(root, label="other") != one
    assert identity(root, on_error="skip", param_batch=7) == one


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_idx, "t10k-labels-idx1-ubyte.gz"),
        (write_csv, "train.csv"),
        (write_csv, "pixels/03.png"),
        (write_hub, "tiny/test-00000-of-00001.parquet"),
        (write_folders, "test/bee/10.png"),
    ],
)
def test_identity_changes_with_every_file(write, name, tmp_path):
    root = write(tmp_path / "data")
    before = identity(root)
    raw = bytearray((root / name).read_bytes())
    raw[-1] ^= 1
    (root / name).write_bytes(raw)
    assert identity(root) != before


def test_identity_changes_when_an_image_changes_its_class(tmp_path):
    root = write_folders(tmp_path / "data")
    before = identity(root)
    (root / "test/bee/10.png").rename(root / "test/ant/10.png")
    assert identity(root) != before


def test_of_very_many_files_the_times_tell(tmp_path, monkeypatch):
    root = write_folders(tmp_path / "data")
    monkeypatch.setattr(manifest, "MANY", 5)
    monkeypatch.setattr(manifest, "input_digest", None)
    before = identity(root)
    assert before["root"]["by"] == "time"
    os.utime(root / "train/ant/00.png", ns=(1, 1))
    assert identity(root) != before
