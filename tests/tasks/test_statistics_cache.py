"""What runs share: statistics and representations are computed once, and the numbers are the same without."""

import errno
import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.param.learn import Param
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.relative_aligner import RelativeAligner
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.store.bounded import mark_used, prune
from relrep_exp.store.keys import content_key
from relrep_exp.store.once import key_lock
from relrep_exp.store.records import numbers_of
from relrep_exp.store.tensors import TensorStore
from relrep_exp.tasks import statistics_cache
from relrep_exp.tasks.readings import Readings
from relrep_exp.tasks.statistics_cache import Sharing

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 6.0))
ROOM = 1e9


class Calls:
    """A function, and how often it was called."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *arguments):
        self.count += 1
        return self.function(*arguments)


@pytest.fixture
def everything_kept(monkeypatch):
    """However small or cheap."""
    for name in ("KEPT_FROM_GFLOP", "KEPT_FROM_BYTES", "TIMES_DEARER", "PROBE_ROWS"):
        monkeypatch.setattr(statistics_cache, name, 1 if name == "PROBE_ROWS" else 0)


@pytest.fixture
def fits(monkeypatch):
    """How often statistics and PARAM were fitted."""
    counted = {"statistics": Calls(Whitening.fit), "param": Calls(Param.__call__)}
    monkeypatch.setattr(Whitening, "fit", counted["statistics"])
    monkeypatch.setattr(Param, "__call__", lambda *given: counted["param"](*given))
    return lambda: {name: calls.count for name, calls in counted.items()}


def folders(outputs, kind):
    root = outputs / kind
    return sorted(path.name for path in root.iterdir() if path.name != ".locks") if root.is_dir() else []


# Whole runs.


def test_runs_that_differ_in_the_decoder_share_everything_else(
    any_run, outputs, everything_kept, fits, monkeypatch
):
    words = ["anchors=param", "anchors.epochs=2"]
    first = any_run(*words, "decoder=linear")
    assert fits() == {"statistics": 3, "param": 3}  # an encoder has one Whitening, a test encoder one P
    kept = folders(outputs, "representations")
    assert len(folders(outputs, "statistics")) == 3 and len(kept) == 9 + 9  # of test rows, of training rows
    made = Calls(TensorStore._write)
    monkeypatch.setattr(TensorStore, "_write", lambda *given: made(*given))
    other = any_run(*words, "decoder=svm")
    assert fits() == {"statistics": 3, "param": 3} and made.count == 0
    assert first.fresh and other.fresh
    assert folders(outputs, "representations") == kept


@pytest.mark.parametrize(
    ("anchors", "statistics"),
    [
        ("param", "train"),
        ("param_single", "support"),
        pytest.param("fps", "train", marks=pytest.mark.slow),
    ],
)
def test_the_numbers_are_those_of_a_run_that_shares_nothing(
    any_run, outputs, monkeypatch, anchors, statistics
):
    words = [f"anchors={anchors}", f"aligner.statistics={statistics}"]
    words += ["anchors.epochs=2"] if anchors != "fps" else []
    alone = any_run(*words).record
    assert folders(outputs, "statistics") == folders(outputs, "representations") == []  # too small to pay
    for name in ("KEPT_FROM_GFLOP", "KEPT_FROM_BYTES", "TIMES_DEARER"):
        monkeypatch.setattr(statistics_cache, name, 0)
    monkeypatch.setattr(statistics_cache, "PROBE_ROWS", 1)
    writing = any_run(*words, "overwrite=always").record
    (outputs / "records" / f"{alone.key}.json").unlink()
    reading = any_run(*words).record
    assert len(folders(outputs, "statistics")) >= 3 and folders(outputs, "representations")
    for record in (writing, reading):
        assert (record.rows, record.views, record.curves) == (alone.rows, alone.views, alone.curves)
        assert record.diagnostics == alone.diagnostics
        assert numbers_of(record) == numbers_of(alone)


def test_two_seeds_share_statistics_and_no_fit(any_run, outputs, everything_kept, fits):
    for seed in (0, 1):
        any_run("anchors=param_single", "anchors.epochs=1", f"seed={seed}")
    assert fits() == {"statistics": 3, "param": 2 * 3}  # PARAM Single: one for each encoder, not each pair
    assert len(folders(outputs, "statistics")) == 3


def test_overwriting_makes_everything_anew_but_once(any_run, everything_kept, fits):
    words = ["anchors=param_single", "anchors.epochs=1"]
    any_run(*words)
    any_run(*words, "overwrite=always")
    assert fits() == {"statistics": 6, "param": 6}


def test_no_representations_are_kept_without_room(any_run, outputs, everything_kept):
    any_run("anchors=random", "runtime.representations_gb=0")
    assert folders(outputs, "representations") == []
    any_run("anchors=random", "runtime.representations_gb=1e-6", "overwrite=always")
    assert folders(outputs, "representations") == []  # each is larger than a thousand bytes


# Statistics.


def test_statistics_are_kept_by_encoder_rows_and_settings(tmp_path, everything_kept, fits):
    def whitening(name="a", rows=None, shrinkage=0.15, eps=0.0):
        space = Sharing(tmp_path).space(X, name)
        return (space if rows is None else space.picked(rows)).whitening(shrinkage, eps)

    first, ids = whitening(), torch.arange(0, 60, 2)
    different = [{}, {"name": "b"}, {"rows": ids}, {"rows": ids + 1}, {"shrinkage": 0.0}, {"eps": 1.0}]
    for _ in range(2):
        found = [whitening(**given) for given in different]
        assert fits()["statistics"] == len(different)
    alone = Whitening.fit(X[ids], 0.15, 0.0)
    for one, other in ((found[0], first), (found[2], alone)):
        assert torch.equal(one.mean, other.mean) and torch.equal(one.matrix, other.matrix)
        assert (one.condition, one.rank, one.count) == (other.condition, other.rank, other.count)


def test_small_statistics_are_not_kept(tmp_path):
    sharing_ = Sharing(tmp_path)
    assert sharing_.space(X, "a").whitening().count == 60 and not list(tmp_path.iterdir())


def test_a_space_by_itself_needs_no_folder():
    mean, picked = X.double().mean(0).float(), Space(X).picked(torch.tensor([1, 3, 5]))
    assert torch.allclose(Space(X).whitening().mean, mean) and torch.equal(picked.x, X[[1, 3, 5]])
    assert picked.whitening().count == 3


def test_damaged_statistics_are_moved_aside_and_made_anew(tmp_path, everything_kept, fits, caplog):
    first = Sharing(tmp_path).space(X, "a").whitening()
    [key] = folders(tmp_path, "statistics")
    data = tmp_path / "statistics" / key / "data.safetensors"
    data.write_bytes(data.read_bytes()[:-3] + b"abc")
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        again = Sharing(tmp_path).space(X, "a").whitening()
    assert torch.equal(again.matrix, first.matrix) and fits()["statistics"] == 2
    assert folders(tmp_path, "statistics") == [key, f"{key}.corrupt-1"] and "corrupt" in caplog.text


def test_of_several_that_ask_at_once_one_fits(tmp_path, everything_kept, monkeypatch):
    fit = Whitening.fit
    slow = Calls(lambda *given: time.sleep(0.2) or fit(*given))
    monkeypatch.setattr(Whitening, "fit", slow)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: Sharing(tmp_path).space(X, "a").whitening(), range(3)))
    assert slow.count == 1 and all(torch.equal(one.matrix, found[0].matrix) for one in found)


# Representations.


def joined(scale=1.0):
    """An aligner of three encoders."""
    aligner = RelativeAligner("method", lambda: RelativeSpace("random", "wip", m=4, support=30, seed=0))
    return aligner.fit({"a": Space(scale * X), "b": Space(X.flip(1))})


def test_equal_readings_are_one_object_and_others_are_not():
    rows = {"a": X, "b": X.flip(1)}
    read = Readings(rows, dict.fromkeys(rows, "key"), "test", Sharing())
    one, same, other = joined(), joined(), joined(scale=2.0)
    assert read(one, "a", "b") is read(one, "b", "b") is read(same, "b", "b")
    assert read(one, "a", "a") is not read(one, "a", "b")
    assert read(other, "a", "a") is not read(one, "a", "a")
    assert torch.equal(read(one, "a", "b"), one.carry(X.flip(1), "a", "b"))


def test_representations_are_kept_where_they_are_dear(tmp_path, monkeypatch):
    x, dear = torch.randn(2000, 8), Calls(lambda x: time.sleep(len(x) * 5e-5) or 2 * x)
    cheap = Calls(lambda x: 2 * x)
    monkeypatch.setattr(statistics_cache, "KEPT_FROM_BYTES", 2**14)
    monkeypatch.setattr(
        statistics_cache, "DISK_BYTES_PER_SECOND", 1e7
    )  # dear from 32 ms on: one takes 100, one none
    for calls, reading, computed in ((dear, "dear", 2 + 1), (cheap, "cheap", 2 * (2 + 1))):
        for _ in range(2):
            found = Sharing(tmp_path, most_bytes=ROOM).representations(reading, ("key", "test"), x, calls)
            assert torch.equal(found, 2 * x)
        assert calls.count == computed  # two probes, and the whole
    assert len(folders(tmp_path, "representations")) == 1
    other = ("key", "train")
    assert torch.equal(Sharing(tmp_path, most_bytes=ROOM).representations("dear", other, -x, dear), -2 * x)


def test_the_first_projection_may_pay_for_what_is_set_up_once(tmp_path, monkeypatch):
    x, project = torch.randn(2000, 8), Calls(lambda x: time.sleep(0.2 * (project.count == 1)) or 2 * x)
    monkeypatch.setattr(statistics_cache, "KEPT_FROM_BYTES", 2**14)
    monkeypatch.setattr(statistics_cache, "DISK_BYTES_PER_SECOND", 1e7)
    Sharing(tmp_path, most_bytes=ROOM).representations("r", ("key", "test"), x, project)
    assert folders(tmp_path, "representations") == []


def test_the_file_that_a_similarity_comes_from_tells_representations_apart(
    tmp_path, everything_kept, monkeypatch
):
    for digest, factor in (("one", 2), ("two", 3)):
        monkeypatch.setattr(statistics_cache.plugins, "digests", lambda digest=digest, **_: {"sim": digest})
        share = Sharing(tmp_path, most_bytes=ROOM)
        found = share.representations("r", ("key", "test"), X, lambda x, factor=factor: factor * x)
        assert torch.equal(found, factor * X)


def is_told(outputs, x, caplog):
    """Whether a warning says that 2 x is not kept; it is found in any case."""
    project = Calls(lambda x: 2 * x)
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        share = Sharing(outputs, most_bytes=ROOM)
        assert torch.equal(share.representations("r", ("key", "test"), x, project), 2 * x)
    assert project.count <= 2 + 1
    return "representations are not kept: " in caplog.text


def test_representations_that_cannot_be_kept_are_only_told(tmp_path, everything_kept, caplog):
    (tmp_path / "representations").write_text("in the way")
    assert is_told(tmp_path, X, caplog)


def test_a_disk_that_fills_up_stops_no_run(small_disk, everything_kept, caplog, monkeypatch):
    x = torch.zeros(2000, 64)
    assert not is_told(small_disk, x, caplog)  # there is no room, which is seen before
    monkeypatch.setattr(statistics_cache, "free_bytes", lambda _: ROOM)
    assert is_told(small_disk, x, caplog) and folders(small_disk, "representations") == []


# The bound.


def fill(root, number, size=1000):
    key = content_key({"number": number})
    TensorStore(root).get_or_compute(key, lambda: ({"x": torch.zeros(size)}, {}))
    return root / key


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    entries = [fill(tmp_path, number) for number in range(4)]
    for age, entry in enumerate(reversed(entries)):
        os.utime(entry / "manifest.json", (1e9 - age, 1e9 - age))
    mark_used(entries[0])
    prune(tmp_path, 4 * 5000)
    assert all(entry.is_dir() for entry in entries)
    prune(tmp_path, 2 * 5000)
    assert [entry.is_dir() for entry in entries] == [True, False, False, True]
    prune(tmp_path, 0)
    assert not any(entry.is_dir() for entry in entries) and folders(tmp_path, ".") == []


def test_what_is_being_made_stays_and_what_is_read_meanwhile_is_made_anew(tmp_path, monkeypatch):
    entry = fill(tmp_path, 0)
    with key_lock(entry):
        prune(tmp_path, 0)
    assert entry.is_dir()
    read = Path.read_bytes

    def vanishing(path):
        text = read(path)
        if path.name == "manifest.json" and path.parent == entry:
            monkeypatch.setattr(Path, "read_bytes", read)
            prune(tmp_path, 0)
        return text

    monkeypatch.setattr(Path, "read_bytes", vanishing)
    assert fill(tmp_path, 0) == entry and entry.is_dir()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_what_is_corrupt_and_what_killed_writers_left_goes_first(tmp_path):
    old, new, made = (fill(tmp_path, number) for number in range(3))
    aside, left = (
        old.with_name(name.format(old.name)) for name in ("{}.corrupt-1", ".{}.7-0123456789abcdef.tmp")
    )
    shutil.copytree(new, aside)
    shutil.copytree(new, left)
    being_made = shutil.copytree(new, made.with_name(left.name.replace(old.name, made.name)))
    with key_lock(made):
        prune(tmp_path, 4 * 5000)
    assert all(entry.is_dir() for entry in (old, new, made, being_made))
    assert not aside.exists() and not left.exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY, errno.ESTALE])
def test_what_cannot_be_removed_stays(tmp_path, monkeypatch, code):
    entries = [fill(tmp_path, number) for number in range(2)]
    (tmp_path / ".locks" / f"{entries[0].name}.lock").unlink()
    (tmp_path / ".locks" / f"{entries[0].name}.lock").mkdir()

    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "rename", refused)
    prune(tmp_path, 0)
    assert all(entry.is_dir() for entry in entries)
