"""Labelled images that are not what they should be: every fault is told, none is guessed away."""

import shutil

import numpy as np
import pytest
import reading as sources
from PIL import Image
from reading import told
from tiny_images import (
    LABELS,
    PIXELS,
    config,
    identity,
    load,
    view,
    write_csv,
    write_folders,
    write_hub,
    write_idx,
    write_pngs,
)

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data import image_samples
from relrep_exp.data.image_samples import image_shape
from relrep_exp.data.samples import BadSampleError

pytestmark = pytest.mark.usefixtures("arrow_cache")


def test_no_such_folder_view_or_format(tmp_path):
    (problem,) = told(identity, tmp_path / "none")
    assert "there is no such folder" in problem.what and "tiny" in problem.remedy
    (tmp_path / "notes.txt").touch()
    assert "it is a file" in told(load, tmp_path / "notes.txt")[0].what
    (problem,) = told(load, tmp_path)
    assert "it holds notes.txt" in problem.what
    for said in ("train-images-idx3-ubyte", ".parquet", "train/CLASS/*.png"):
        assert said in problem.remedy
    view, repo = told(sources.load, config(), ["en", IMAGE])
    assert "view 'en'" in view.what and "data.repo" in repo.remedy


IDX_FAULTS = {
    "truncated": (lambda raw: raw[:-7], "holds 317 bytes of data, expected 324 (9 x 6 x 6)"),
    "too long": (lambda raw: raw + b"more", "holds more than 324 bytes of data, expected 324"),
    "another type": (lambda raw: b"\0\0\x0d\3" + raw[4:], "starts with 00 00 0d 03, expected 00 00 08 03"),
    "labels": (lambda raw: b"\0\0\x08\1" + raw[4:], "starts with 00 00 08 01, expected 00 00 08 03"),
    "a huge header": (lambda raw: raw[:4] + b"\xff" * 12, "holds 0 bytes of data"),
    "empty": (lambda raw: b"", "starts with nothing"),
}


@pytest.mark.parametrize(("spoil", "said"), IDX_FAULTS.values(), ids=IDX_FAULTS)
def test_damaged_idx(spoil, said, tmp_path):
    root = write_idx(tmp_path / "data", packed=False)
    path = root / "train-images-idx3-ubyte"
    path.write_bytes(spoil(path.read_bytes()))
    (problem,) = told(load, root)
    assert said in problem.what and str(path) in problem.what


def test_every_idx_fault_is_told_at_once(tmp_path):
    root = write_idx(tmp_path / "data")
    cut = root / "train-images-idx3-ubyte.gz"
    cut.write_bytes(cut.read_bytes()[:-20])
    (root / "train-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    problems = told(load, root)
    assert [str(cut) in problems[0].what, "Not a gzipped file" in problems[1].what] == [True, True]
    assert "there is no t10k-labels-idx1-ubyte[.gz]" in problems[2].what and len(problems) == 3


def test_images_and_labels_that_differ_in_number(tmp_path):
    root = write_idx(tmp_path / "data")
    fewer = write_idx(tmp_path / "fewer", labels=LABELS[:-2])
    shutil.copy(fewer / "t10k-labels-idx1-ubyte.gz", root)
    (problem,) = told(load, root)
    assert "t10k-images has 5 images, t10k-labels has 3 labels" in problem.what


def test_wrong_columns(tmp_path):
    root = write_hub(tmp_path / "data")
    problems = told(load, root, image="image", label="lable")
    assert "data.image=image" in problems[0].what and "img, label" in problems[0].remedy
    assert "data.label=lable" in problems[1].what and "did you mean label" in problems[1].remedy
    (problem,) = told(load, root, image="label", label="label")
    assert "data.image=label: the column holds" in problem.what and "img, label" in problem.remedy


def test_a_damaged_table(tmp_path):
    root = write_hub(tmp_path / "data")
    path = root / "tiny/test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    (problem,) = told(load, root)
    assert str(path) in problem.what and "arquet" in problem.what.replace(str(path), "")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "file" / "arrow")
    (problem,) = told(load, write_csv(tmp_path / "data"))
    assert str(tmp_path / "file") in problem.what and "HF_DATASETS_CACHE=DIR" in problem.remedy


def csv_with(tmp_path, train, test):
    write_pngs(tmp_path / "data")
    for split, labels in {"train": train, "test": test}.items():
        lines = [f"pixels/00.png,{label}" for label in labels]
        (tmp_path / f"data/{split}.csv").write_text("\n".join(["img,label", *lines, ""]))
    return tmp_path / "data"


LABEL_FAULTS = {
    "one class": ("aaa", "a", ["all training labels are 'a'"]),
    "an empty split": ("ab", "", ["the test split is empty"]),
    "unseen labels": ("ab", ["a", "c", "d", "c"], ["2 test labels never occur in training: 'c', 'd'"]),
    "a missing label": (["a", "", "b"], "ab", ["the label of training sample 1 is ''"]),
    "fractions": (
        ["0.5", "1"],
        ["1.0"],
        ["the label of training sample 0 is 0.5", "of test sample 0 is 1.0"],
    ),
}


@pytest.mark.parametrize(("train", "test", "said"), LABEL_FAULTS.values(), ids=LABEL_FAULTS)
def test_labels_that_cannot_be_learnt(train, test, said, tmp_path):
    problems = told(load, csv_with(tmp_path, train, test))
    assert len(problems) == len(said)
    assert all(part in problem.what for part, problem in zip(said, problems, strict=True))


def test_a_limit_that_leaves_one_class(tmp_path):
    (problem,) = told(load, csv_with(tmp_path, "aab", "b"), limit=2)
    assert "in the first 2 samples" in problem.what and problem.remedy == "raise data.limit"


@pytest.mark.parametrize(
    ("train", "test", "numbers"),
    [([30, -4, 7], [7, 30], [2, 0, 1, 1, 2]), (["NA", "EU"], ["NA"], [1, 0, 1])],
    ids=["sorted by value", "a class called NA"],
)
def test_labels_are_numbered_in_sorted_order(train, test, numbers, tmp_path):
    assert view(csv_with(tmp_path, train, test)).labels.tolist() == numbers


def test_a_damaged_image_is_a_bad_sample(tmp_path):
    root = write_folders(tmp_path / "data")
    path = root / "train/bee/01.png"
    path.write_bytes(path.read_bytes()[:60])
    (root / "train/cat/02.png").write_bytes(b"GIF89a no image")
    samples = view(root).samples
    for row, name in ((1, "01.png"), (2, "02.png")):
        with pytest.raises(BadSampleError, match=name):
            samples[row]
    np.testing.assert_array_equal(samples[3], PIXELS[3])


def test_bad_samples_of_tables(tmp_path):
    root = write_csv(tmp_path / "data")
    (root / "pixels/01.png").unlink()
    with pytest.raises(BadSampleError, match="there is no file"):
        view(root).samples[1]
    with pytest.raises(BadSampleError, match="it is no PNG, JPEG"):
        image_samples.decoded(b"nonsense")
    with pytest.raises(BadSampleError, match="missing"):
        image_samples.TableImages([{"img": {"bytes": None, "path": None}}], "img", root)[0]


def saved(image, kind="PNG", **how):
    import io

    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return image_samples.decoded(stream.getvalue())


def test_every_mode_becomes_grey_or_rgb_of_8_bits():
    colour = Image.fromarray(PIXELS[0])
    grey = colour.convert("L")
    few = colour.quantize(64)
    np.testing.assert_array_equal(saved(few), np.array(few.convert("RGB")))
    np.testing.assert_array_equal(saved(colour.convert("RGBA")), PIXELS[0])
    np.testing.assert_array_equal(saved(grey.convert("LA")), np.array(grey))
    np.testing.assert_array_equal(saved(grey.convert("1")), np.array(grey.convert("1")) * np.uint8(255))
    cmyk = colour.convert("CMYK")
    np.testing.assert_array_equal(saved(cmyk, "TIFF"), np.array(cmyk.convert("RGB")))
    wide = Image.fromarray(np.array(grey).astype(np.uint16) * 257)
    np.testing.assert_array_equal(saved(wide), np.array(grey))
    with pytest.raises(BadSampleError, match="floating-point"):
        saved(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF")


def test_photographs_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn clockwise
    wide = Image.fromarray(PIXELS[0][:3])
    np.testing.assert_array_equal(saved(wide, exif=exif), np.rot90(PIXELS[0][:3], k=-1))


def test_whether_images_share_a_shape(tmp_path):
    root = write_folders(tmp_path / "data")
    assert image_shape(view(root).samples) == (6, 6, 3)
    (root / "train/bee/01.png").write_bytes(b"damaged")
    assert image_shape(view(root).samples) == (6, 6, 3)
    Image.fromarray(PIXELS[0][:4]).save(root / "test/cat/11.png")
    assert image_shape(view(root).samples) is None
    assert image_shape(view(write_idx(tmp_path / "idx")).samples) == (6, 6)


def test_a_link_that_leads_nowhere(tmp_path):
    root = write_folders(tmp_path / "data")
    link = root / "train/bee/99.png"
    link.symlink_to(tmp_path / "gone.png")
    (problem,) = told(identity, root)
    assert str(link) in problem.what
