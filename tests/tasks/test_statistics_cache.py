"""What runs share: statistics are computed once, and the numbers are the same without."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from relrep_exp.alignment.aligner import Readings, RelativeAligner, SingleRelativeAligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.param.learn import Param
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.store.records import numbers_of
from relrep_exp.tasks import work
from relrep_exp.tasks.work import StatisticsCache

X = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 6.0))


class Calls:
    """A function, and how often it was called."""

    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *arguments):
        self.count += 1
        return self.function(*arguments)


@pytest.fixture
def everything_kept(monkeypatch):
    """However small."""
    monkeypatch.setattr(work, "KEPT_FROM_GFLOP", 0)


@pytest.fixture
def fits(monkeypatch):
    """How often statistics and PARAM were fitted."""
    counted = {"statistics": Calls(Whitening.fit), "param": Calls(Param.__call__)}
    monkeypatch.setattr(Whitening, "fit", counted["statistics"])
    monkeypatch.setattr(Param, "__call__", lambda *given: counted["param"](*given))
    return lambda: {name: calls.count for name, calls in counted.items()}


def space(outputs, name):
    """X as the training embeddings of an encoder."""
    return Space(X, partial(StatisticsCache(outputs).whitening, name))


def folders(outputs, kind):
    root = outputs / kind
    return sorted(path.name for path in root.iterdir() if path.name != ".locks") if root.is_dir() else []


# Whole runs.


def test_runs_that_differ_in_the_decoder_share_everything_else(any_run, outputs, everything_kept, fits):
    words = ["anchors=param", "anchors.epochs=2"]
    first = any_run(*words, "decoder=linear")
    assert fits() == {"statistics": 3, "param": 3}  # an encoder has one Whitening, a test encoder one P
    assert len(folders(outputs, "statistics")) == 3

    def written():
        return {path: path.stat().st_mtime_ns for path in outputs.rglob("manifest.json")}

    before = written()
    other = any_run(*words, "decoder=svm")
    assert fits() == {"statistics": 3, "param": 3} and written() == before
    assert first.fresh and other.fresh


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
    assert folders(outputs, "statistics") == []  # too small to pay
    monkeypatch.setattr(work, "KEPT_FROM_GFLOP", 0)
    writing = any_run(*words, "overwrite=always").record
    (outputs / "records" / f"{alone.key}.json").unlink()
    reading = any_run(*words).record
    assert len(folders(outputs, "statistics")) >= 3
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


# Statistics.


def test_statistics_are_kept_by_encoder_rows_and_settings(tmp_path, everything_kept, fits):
    def whitening(name="a", rows=None, shrinkage=0.15, eps=0.0):
        whole = space(tmp_path, name)
        return (whole if rows is None else whole.picked(rows)).whitening(shrinkage, eps)

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
    assert space(tmp_path, "a").whitening().count == 60 and not list(tmp_path.iterdir())


def test_a_space_by_itself_needs_no_folder():
    mean, picked = X.double().mean(0).float(), Space(X).picked(torch.tensor([1, 3, 5]))
    assert torch.allclose(Space(X).whitening().mean, mean) and torch.equal(picked.x, X[[1, 3, 5]])
    assert picked.whitening().count == 3


def test_damaged_statistics_are_moved_aside_and_made_anew(tmp_path, everything_kept, fits, caplog):
    first = space(tmp_path, "a").whitening()
    [key] = folders(tmp_path, "statistics")
    data = tmp_path / "statistics" / key / "data.safetensors"
    data.write_bytes(data.read_bytes()[:-3] + b"abc")
    with caplog.at_level(logging.WARNING, "relrep_exp"):
        again = space(tmp_path, "a").whitening()
    assert torch.equal(again.matrix, first.matrix) and fits()["statistics"] == 2
    assert folders(tmp_path, "statistics") == [key, f"{key}.corrupt-1"] and "corrupt" in caplog.text


def test_of_several_that_ask_at_once_one_fits(tmp_path, everything_kept, monkeypatch):
    fit = Whitening.fit
    slow = Calls(lambda *given: time.sleep(0.2) or fit(*given))
    monkeypatch.setattr(Whitening, "fit", slow)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: space(tmp_path, "a").whitening(), range(3)))
    assert slow.count == 1 and all(torch.equal(one.matrix, found[0].matrix) for one in found)


# What decoders read.


def joined(scale=1.0):
    """An aligner of three encoders."""
    aligner = RelativeAligner("method", lambda: RelativeSpace("random", "wip", m=4, support=30, seed=0))
    return aligner.fit({"a": Space(scale * X), "b": Space(X.flip(1))})


def test_equal_readings_are_one_object_and_others_are_not():
    rows = {"a": X, "b": X.flip(1)}
    read = Readings(rows)
    one, same, other = joined(), joined(), joined(scale=2.0)
    assert read(one, "a", "b") is read(one, "b", "b") is read(same, "b", "b")
    assert read(one, "a", "a") is not read(one, "a", "b")
    assert read(other, "a", "a") is not read(one, "a", "a")
    assert torch.equal(read(one, "a", "b"), one.carry(X.flip(1), "a", "b"))


def test_each_decoder_of_single_reads_its_own_encoder_alike_whatever_the_test_encoder_is():
    spaces = {"a": Space(X), "b": Space(X.flip(1)), "c": Space(X.roll(1, 1))}
    read = Readings({name: space.x for name, space in spaces.items()})
    of = {}
    for target in spaces:
        aligner = SingleRelativeAligner("m", lambda: RelativeSpace("kmeans", "wip", m=4, support=30, seed=0))
        aligner.fit({name: space for name, space in spaces.items() if name != target})
        aligner.join(target, spaces[target])
        aligner.fit_own(target, spaces[target])
        of[target] = [read(aligner, source, source) for source in spaces]
    for first, second, third in zip(*of.values(), strict=True):
        assert first is second is third
