"""Embeddings of one's own in every form: labels of any kind or none, a drawn split, folders, damage."""

import random
import zipfile

import numpy as np
import pytest
import torch
from fuzz_files import ARRAYS
from hypothesis import given, settings
from hypothesis import strategies as st

from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders import precomputed
from relrep_exp.errors import UserError


def zoo(path, encoders=None):
    return PrecomputedZoo(kind="precomputed", path=str(path), encoders=encoders)


def load(path, encoders=None, seed=0):
    return precomputed.load(zoo(path, encoders), seed)


def saved(tmp_path, arrays, **changes):
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: x for name, x in {**arrays, **changes}.items() if x is not None})
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda y: np.array(["ant", "bee", "cat"])[y],
        lambda y: np.array([b"ant", b"bee", b"cat"])[y],
        lambda y: y.astype(np.float32),
        lambda y: y - 7.0,
        lambda y: np.array(["É", "Ü", "日"])[y],  # sorted so
    ],
    ids=["names", "bytes", "floats", "negative floats", "other scripts"],
)
def test_labels_of_any_kind_are_numbered_in_sorted_order(tmp_path, arrays, make):
    path = saved(tmp_path, arrays, labels=make(arrays["labels"]))
    assert load(path).tasks["a"].labels.tolist() == arrays["labels"].tolist()


def test_booleans_are_two_classes(tmp_path, arrays):
    loaded = load(saved(tmp_path, arrays, labels=arrays["labels"] > 0))
    assert loaded.classes == 2
    assert loaded.tasks["a"].labels.tolist() == (arrays["labels"] > 0).astype(int).tolist()


def test_without_labels_the_retrieval_metrics_are_measured_alone(any_run, tmp_path, arrays):
    path = saved(tmp_path, arrays, labels=None)
    with_labels = any_run("anchors=random").record
    without = any_run("anchors=random", f"zoo.path={path}").record
    assert without.diagnostics["samples"]["labels"] == precomputed.NO_LABELS
    theirs = {row[:4]: row.value for row in with_labels.rows}
    assert {row.metric for row in with_labels.rows} - {row.metric for row in without.rows} == {
        "f1_weighted",
        "f1_weighted_se",
        "accuracy",
        "accuracy_se",
    }
    assert all(theirs[row[:4]] == row.value for row in without.rows)


def test_without_a_split_the_seed_draws_one_that_has_every_class_in_both_parts(tmp_path, arrays):
    path = saved(tmp_path, arrays, is_train=None)
    one, again, other = load(path), load(path), load(path, seed=1)
    train, labels = one.tasks["a"].is_train, one.tasks["a"].labels
    assert torch.equal(train, again.tasks["a"].is_train)
    assert not torch.equal(train, other.tasks["a"].is_train)
    for k in range(3):  # 30 rows each
        assert int(train[labels == k].sum()) == 24
    assert "drawn by the seed, 72 of 90" in one.notes["split"]
    assert one.keys == again.keys == precomputed.keys(zoo(path), 0)
    assert not set(one.keys.values()) & set(other.keys.values())


def test_with_a_split_the_seed_is_in_no_key(file):
    assert load(file, seed=0).keys == load(file, seed=1).keys


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_the_share_of_each_class_that_is_drawn(classes, seed):
    classes = np.array(classes)
    train = precomputed._drawn(classes, len(classes), seed)
    for k in np.unique(classes):
        members = classes == k
        assert int((~train)[members].sum()) == int(members.sum() * 0.2 + 0.5)
        assert train[members].any()


def test_a_folder_of_npy_is_as_one_file(any_run, tmp_path, arrays):
    folder = tmp_path / "arrays"
    folder.mkdir()
    for name, x in arrays.items():
        np.save(folder / f"{name}.npy", x)
    (folder / "notes.txt").write_text("ignored")
    loaded = load(folder)
    assert loaded.names == ["a", "b", "c"] and loaded.notes["ignored"] == ["notes.txt"]
    assert (
        any_run("anchors=random", f"zoo.path={folder}").record.rows == any_run("anchors=random").record.rows
    )
    before = precomputed.identity(zoo(folder)), loaded.keys
    np.save(
        folder / "is_train.npy", ~arrays["is_train"]
    )  # statistics of training rows are kept by these keys
    after = precomputed.identity(zoo(folder)), load(folder).keys
    assert before[0] != after[0] and not set(before[1].values()) & set(after[1].values())
    with pytest.raises(UserError, match=r"one array, hence one encoder(.|\n)*zoo.path=.*arrays"):
        load(folder / "a.npy")


def test_constant_columns_are_said_and_taken(any_run, tmp_path, arrays):
    dead = np.concatenate([arrays["a"], np.full((90, 2), 3.0, np.float32)], axis=1)
    record = any_run("anchors=random", "sim=wip", f"zoo.path={saved(tmp_path, arrays, a=dead)}").record
    assert record.diagnostics["samples"]["constant_columns"] == {"a": 2}
    assert all(np.isfinite(row.value) for row in record.rows)


def test_what_lies_beside_embeddings_is_ignored_with_a_word(tmp_path, arrays, caplog):
    beside = {"weights": np.ones(90), "version": np.int64(3), "names": np.array(["x"] * 90)}
    path = saved(tmp_path, arrays, **beside)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    loaded = load(path)
    assert loaded.names == ["a", "b", "c"]
    assert loaded.notes["ignored"] == [*beside, "readme.txt"]
    assert "readme.txt" in caplog.text


def test_a_npy_under_another_name(tmp_path):
    with (tmp_path / "x.npz").open("wb") as stream:
        np.save(stream, np.zeros((4, 3), np.float32))
    with pytest.raises(UserError, match=r"is a \.npy under another name"):
        load(tmp_path / "x.npz")


@pytest.mark.timeout(60)
def test_malformed_files_load_or_are_told(tmp_path):
    refused = 0
    for seed in range(150):
        rng, folder = random.Random(seed), tmp_path / str(seed)
        folder.mkdir()
        path = zoo(rng.choice(ARRAYS)(folder, rng))
        for ask in (precomputed.identity, lambda z: precomputed.keys(z, 0), lambda z: precomputed.load(z, 0)):
            try:
                ask(path)
            except UserError as error:
                refused += 1
                assert all(problem.what and problem.remedy for problem in error.problems)
    assert refused > 300


def test_a_file_that_changes_while_a_run_reads_it_is_told(any_run, tmp_path, arrays, monkeypatch):
    path = saved(tmp_path, arrays)
    real = precomputed.load

    def load_and_change(*args):
        found = real(*args)
        saved(tmp_path, arrays, a=arrays["a"] + 1)
        return found

    monkeypatch.setattr(precomputed, "load", load_and_change)
    with pytest.raises(UserError, match="changed while it read them"):
        any_run("anchors=random", f"zoo.path={path}")
    assert not list((tmp_path / "outputs" / "records").glob("*.json"))
