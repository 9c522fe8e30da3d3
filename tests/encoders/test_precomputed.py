"""The user's own embeddings: a file's faults are told, nothing in it is executed, good files just work."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as torch_save_file

from relrep_exp.app.plan import make_plan
from relrep_exp.app.run import run as make_record
from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders import precomputed
from relrep_exp.errors import UserError


def load(path, encoders=None):
    return precomputed.load(PrecomputedZoo(kind="precomputed", path=str(path), encoders=encoders), 0)


def spaces(embeddings):
    return {name: corpus.x for name, corpus in embeddings.tasks.items()}


def told(path, encoders=None):
    """What the user is told of a file; every problem has a remedy."""
    with pytest.raises(UserError) as caught:
        load(path, encoders)
    assert all(problem.what and problem.remedy for problem in caught.value.problems)
    return caught.value.problems


def saved(tmp_path, arrays, **changes):
    """An .npz of the arrays with some of them changed, or left out where the change is None."""
    path = tmp_path / "mine.npz"
    merged = {name: x for name, x in {**arrays, **changes}.items() if x is not None}
    np.savez(path, **merged)
    return path


def spoilt(x, row, column, value):
    x = x.copy()
    x[row, column] = value
    return x


FAULTS = {
    "rows that are not parallel": (
        lambda a: {"b": a["b"][:-1]},
        ["encoder 'b' has 89 rows, labels has 90", "the same sample in every array"],
    ),
    "NaN": (
        lambda a: {"b": spoilt(a["b"], 17, 2, np.nan)},
        ["encoder 'b'", "in 1 rows, the first is row 17"],
    ),
    "infinity": (lambda a: {"c": spoilt(a["c"], 3, 0, -np.inf)}, ["encoder 'c'", "the first is row 3"]),
    "beyond float32": (
        lambda a: {"c": spoilt(a["c"].astype(np.float64), 5, 0, 1e300)},
        ["beyond 1e18", "the first is row 5"],
    ),
    "one embedding for all": (
        lambda a: {"a": np.ones_like(a["a"])},
        ["encoder 'a': all training samples have the same embedding", "name the others in zoo.encoders"],
    ),
    "one encoder": (lambda a: {"b": None, "c": None}, ["1 encoder in", "at least two"]),
    "no encoder": (lambda a: {"a": None, "b": None, "c": None}, ["0 encoder in", "at least two"]),
    "a single class": (lambda a: {"labels": 0 * a["labels"]}, ["all training labels are 0", "two classes"]),
    "labels between classes": (lambda a: {"labels": a["labels"] / 2}, ["labels holds 0.5", "30 such rows"]),
    "labels that are no numbers": (
        lambda a: {"labels": np.where(np.arange(90) == 5, np.nan, a["labels"])},
        ["labels holds nan", "1 such rows", "leave labels out"],
    ),
    "labels of dates": (
        lambda a: {"labels": a["labels"].astype("datetime64[D]")},
        ["labels is datetime64[D] (90,)", "a name for each row"],
    ),
    "labels one-hot": (lambda a: {"labels": np.eye(3, dtype=int)[a["labels"]]}, ["labels is int64 (90, 3)"]),
    "a short split": (
        lambda a: {"is_train": a["is_train"][:-1]},
        ["is_train is bool (89,)", "booleans [90]"],
    ),
    "a split in two dimensions": (
        lambda a: {"is_train": a["is_train"][:, None]},
        ["is_train is bool (90, 1)"],
    ),
    "a split with twos": (lambda a: {"is_train": 2 * a["is_train"].astype(int)}, ["is_train is int64"]),
    "a split of floats": (lambda a: {"is_train": a["is_train"] * 1.0}, ["is_train is float64"]),
    "no test rows": (lambda a: {"is_train": a["is_train"] | True}, ["90 training and 0 test rows"]),
    "no training rows": (lambda a: {"is_train": a["is_train"] & False}, ["0 training and 90 test rows"]),
    "an unseen test class": (
        lambda a: {"labels": np.where(np.arange(90) == 80, 7, a["labels"])},
        ["test labels [7] never occur in training"],
    ),
    "integer embeddings": (
        lambda a: {"a": a["a"].astype(int)},
        ["encoder 'a' is int64 (90, 6)", "2-D float"],
    ),
    "complex embeddings": (lambda a: {"a": a["a"] * 1j}, ["encoder 'a' is complex64 (90, 6)"]),
    "embeddings in three dimensions": (lambda a: {"a": a["a"][None]}, ["encoder 'a' is float32 (1, 90, 6)"]),
    "no columns": (lambda a: {"a": a["a"][:, :0]}, ["encoder 'a' has shape (90, 0)"]),
    "no rows": (lambda a: {name: x[:0] for name, x in a.items()}, ["encoder 'a' has shape (0, 6)"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_file_is_told(tmp_path, arrays, fault):
    changes, words = FAULTS[fault]
    problems = told(saved(tmp_path, arrays, **changes(arrays)))
    text = "\n".join(map(str, problems))
    assert all(word in text for word in words), text
    assert len(problems) == (4 if fault == "no rows" else 1)


def test_all_faults_of_a_file_are_told_at_once(tmp_path, arrays):
    changes = {
        "a": spoilt(arrays["a"], 7, 0, np.nan),
        "b": arrays["b"][:-3],
        "c": arrays["c"].astype(int),
        "labels": arrays["labels"] * 0,
    }
    assert len(told(saved(tmp_path, arrays, **changes))) == 4


def test_a_pickle_in_the_file_is_never_executed(tmp_path, arrays):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    for name in ("bare.npz", "bare.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        assert len(told(tmp_path / name)) == 1
    path = saved(tmp_path, arrays, evil=np.array([Evil()], dtype=object))
    assert load(path, ["a", "b"]).names == ["a", "b"]
    for encoders in (None, ["a", "evil"]):
        [problem] = told(path, encoders)
        assert "holds pickled Python objects, which are never loaded" in problem.what
    assert not (tmp_path / "executed").exists()
    np.load(path, allow_pickle=True)["evil"]
    assert (tmp_path / "executed").exists()  # it would have been


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_truncated_file(tmp_path, arrays, suffix):
    path = tmp_path / f"mine.{suffix}"
    np.savez(path, **arrays) if suffix == "npz" else save_file(arrays, path)
    whole = path.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        [problem] = told(path)
        assert str(path) in problem.what
        assert "write it again" in problem.remedy or "plain arrays" in problem.remedy


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_with_flipped_bytes_is_told_or_harmless(tmp_path, arrays, save):
    path, rng = tmp_path / "mine.npz", np.random.default_rng(0)
    save(path, **arrays)
    whole = np.fromfile(path, dtype=np.uint8)
    refused = 0
    for _ in range(50):
        broken = whole.copy()
        broken[rng.integers(len(whole), size=20)] = rng.integers(256, size=20)
        broken.tofile(path)
        try:
            load(path)
        except UserError:
            refused += 1
    assert refused > 33


def test_a_zip_that_holds_no_arrays(tmp_path):
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert told(path)


def test_another_suffix(tmp_path):
    for name in ("mine.pt", "mine", "mine.NPZ"):
        (tmp_path / name).write_bytes(b"")
        [problem] = told(tmp_path / name)
        assert "suffix" in problem.what
        assert "save as .npz (numpy.savez) or .safetensors" in problem.remedy


def test_no_such_file_and_a_folder(tmp_path, file, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    assert len(load("~/tiny.npz").names) == 3
    assert "there is no such file" in told(tmp_path / "none.npz")[0].what
    assert "is a folder without .npy files" in told(tmp_path)[0].what


def test_unknown_encoders_are_told_with_the_nearest(file):
    problems = told(file, ["aa", "b", "labels"])
    assert [problem.what for problem in problems] == [
        "zoo.encoders: no array 'aa'",
        "zoo.encoders: no array 'labels'",
    ]
    assert "did you mean a?" in problems[0].remedy
    assert "at least two" in told(file, ["a"])[0].remedy + told(file, ["a"])[0].what
    assert "at least two" in told(file, ["a", "a"])[0].what


def test_a_fault_ends_the_run_before_anything_is_made(run, tmp_path, arrays, outputs):
    path = saved(tmp_path, arrays, b=arrays["b"][:-1])
    with pytest.raises(UserError, match="encoder 'b' has 89 rows"):
        run("anchors=random", f"zoo.path={path}")
    assert not list(outputs.rglob("*.json")) and not list(outputs.rglob("*.safetensors"))


def test_a_fault_in_an_encoder_that_is_not_chosen_is_none(tmp_path, arrays):
    path = saved(tmp_path, arrays, b=spoilt(arrays["b"], 0, 0, np.nan))
    assert set(load(path, ["a", "c"]).names) == {"a", "c"}


# Good files


def test_what_is_loaded_is_what_is_in_the_file(file, arrays):
    embeddings = load(file)
    assert embeddings.names == ["a", "b", "c"] and embeddings.paired is embeddings.tasks
    for name, x in spaces(embeddings).items():
        assert x.dtype == torch.float32 and np.array_equal(x.numpy(), arrays[name])
    assert embeddings.tasks["b"].labels.tolist() == arrays["labels"].tolist()
    assert embeddings.tasks["b"].is_train.tolist() == arrays["is_train"].tolist()
    assert embeddings.classes == 3
    assert len(set(embeddings.keys.values())) == 3


def test_npz_and_safetensors_give_the_same_numbers(run, tmp_path, arrays, file):
    path = tmp_path / "mine.safetensors"
    save_file(arrays, path)
    first, second = run("anchors=random"), run("anchors=random", f"zoo.path={path}")
    assert second.fresh and second.record.key != first.record.key
    assert second.record.rows == first.record.rows


def test_bfloat16_is_read_as_float32(tmp_path, arrays):
    path = tmp_path / "mine.safetensors"
    tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
    low = {name: tensors[name].bfloat16() for name in "abc"}
    torch_save_file({**tensors, **low}, path)
    for name, x in spaces(load(path)).items():
        assert torch.equal(x, low[name].float())


def test_float16_that_ended_at_its_largest_number_is_told_of(tmp_path, arrays):
    with np.errstate(over="ignore"):
        path = saved(tmp_path, arrays, a=(1e5 * arrays["a"]).astype(np.float16))
    with pytest.raises(UserError, match=r"(?s)infinity.*float16 ends at 65,504"):
        load(path)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 0.0), (np.float16, 1e-2), (">f4", 0.0)])
def test_other_floats(tmp_path, arrays, dtype, tolerance):
    path = saved(tmp_path, arrays, **{name: arrays[name].astype(dtype) for name in "abc"})
    for name, x in spaces(load(path)).items():
        assert x.dtype == torch.float32
        np.testing.assert_allclose(x.numpy(), arrays[name], rtol=tolerance, atol=tolerance)


def test_labels_are_any_integers(tmp_path, arrays):
    labels = arrays["labels"]
    for made in (labels * 1000 + 7, labels - 5, labels.astype(np.uint8)):
        loaded = load(saved(tmp_path, arrays, labels=made))
        assert loaded.tasks["b"].labels.tolist() == labels.tolist()
        assert loaded.tasks["b"].labels.dtype == torch.int64


def test_a_split_of_zeros_and_ones_and_column_major_arrays(tmp_path, arrays):
    changes = {"is_train": arrays["is_train"].astype(np.uint8), "a": np.asfortranarray(arrays["a"])}
    loaded = load(saved(tmp_path, arrays, **changes))
    assert loaded.tasks["b"].is_train.dtype == torch.bool
    assert loaded.tasks["b"].is_train.tolist() == arrays["is_train"].tolist()
    assert np.array_equal(loaded.tasks["a"].x.numpy(), arrays["a"])


def test_param_takes_more_anchors_than_dimensions_and_samples(run):
    outcome = run("anchors=param", "anchors.epochs=2", "anchors.m=70", "aligner.support=50")
    values = [row.value for row in outcome.record.rows]
    assert len(values) == 9 * 4 + 6 * 17 + 3 * 3
    assert np.isfinite(values).all()


def test_a_subset_is_the_file_with_the_others_left_out(run, tmp_path, arrays):
    path = saved(tmp_path, arrays, c=None)
    subset, two = run("anchors=random", "zoo.encoders=[a,b]"), run("anchors=random", f"zoo.path={path}")
    assert two.fresh
    assert {(row.source, row.target) for row in subset.record.rows} == {(s, t) for s in "ab" for t in "ab"}
    assert subset.record.rows == two.record.rows


def test_fits_of_a_subset_serve_the_whole(tmp_path, file, tiny_words):
    def fits(*more):
        words = [*tiny_words(file, tmp_path), "anchors=param_single", "anchors.epochs=1", *more]
        make_record(make_plan(words, sweep=False)[0].request, "", tmp_path)
        return {
            path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("checkpoints/*/manifest.json")
        }

    two = fits("zoo.encoders=[a,b]")
    three = fits()
    assert len(two) == 2 and len(three) == 3
    assert two.items() <= three.items()
