"""What runs share: statistics are computed once, and the numbers are the same without."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
import torch
from works import TINY

from relrep_exp.alignment.aligner import Readings, RelativeAligner, SingleRelativeAligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.param.learn import Param
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.config.schema import PathsConfig, PickedAnchors, SvmConfig
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks import work
from relrep_exp.tasks.held_out import fit_aligners
from relrep_exp.tasks.measure import measure
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


@pytest.fixture
def param(config_of):
    """PARAM's anchors, Multi and Single, after an epoch."""
    names = ("param", "param_single")
    return {name: config_of(f"anchors={name}", "anchors.epochs=1").anchors for name in names}


@pytest.fixture
def run(arrays, outputs):
    """Run a task whose statistics and fits are kept in the outputs, as if in a process of its own."""
    found = {name: torch.from_numpy(array) for name, array in arrays.items()}
    corpora = {name: Corpus(found[name], found["is_train"], found["labels"]) for name in "abc"}
    embeddings = Embeddings(corpora, corpora, {name: name for name in "abc"})

    def measured(**groups):
        config = replace(TINY, paths=PathsConfig(outputs=str(outputs)), **groups)
        asked = work.Work(config, embeddings)
        result = measure(asked, fit_aligners(asked))
        return result.rows, result.views, result.curves, result.diagnostics

    return measured


def space(outputs, name):
    """X as the training embeddings of an encoder."""
    return Space(X, partial(StatisticsCache(outputs).whitening, name))


def folders(outputs, kind):
    root = outputs / kind
    return sorted(path.name for path in root.iterdir() if path.name != ".locks") if root.is_dir() else []


# Whole tasks.


def test_runs_that_differ_in_the_decoder_share_everything_else(run, param, outputs, everything_kept, fits):
    def written():
        return {path: path.stat().st_mtime_ns for path in outputs.rglob("manifest.json")}

    first = run(anchors=param["param"])
    assert fits() == {"statistics": 3, "param": 3}  # an encoder has one Whitening, a test encoder one P
    assert len(folders(outputs, "statistics")) == 3
    before = written()
    other = run(anchors=param["param"], decoder=SvmConfig(name="svm"))
    assert fits() == {"statistics": 3, "param": 3} and written() == before
    assert first[0] != other[0]


@pytest.mark.parametrize(
    ("anchors", "statistics"), [("param", "train"), ("param_single", "support"), ("fps", "train")]
)
def test_the_numbers_are_those_of_a_run_that_shares_nothing(
    run, param, outputs, monkeypatch, anchors, statistics
):
    aligner = replace(TINY.aligner, statistics=statistics)
    asked = {"aligner": aligner, "anchors": param.get(anchors) or PickedAnchors(name=anchors, m=5)}
    alone = run(**asked)
    assert folders(outputs, "statistics") == []  # too small to pay
    monkeypatch.setattr(work, "KEPT_FROM_GFLOP", 0)
    assert run(overwrite="always", **asked) == run(**asked) == alone
    assert len(folders(outputs, "statistics")) >= 3


def test_two_seeds_share_statistics_and_no_fit_and_overwriting_makes_all_anew_but_once(
    run, param, outputs, everything_kept, fits
):
    for seed in (0, 1):
        run(anchors=param["param_single"], seed=seed)
    assert fits() == {"statistics": 3, "param": 2 * 3}  # PARAM Single: one for each encoder, not each pair
    assert len(folders(outputs, "statistics")) == 3
    run(anchors=param["param_single"], overwrite="always")
    assert fits() == {"statistics": 6, "param": 9}


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
    mean, picked = X.double().mean(0), Space(X).picked(torch.tensor([1, 3, 5]))
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
