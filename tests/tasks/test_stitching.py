"""The stitching protocol: which numbers there are, what they mean, and that nothing leaks into training."""

import logging
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from works import measured, work_of

from relrep_exp.alignment.aligner import (
    AbsoluteAligner,
    FirstRelativeAligner,
    RelativeAligner,
    SingleRelativeAligner,
)
from relrep_exp.alignment.anchors import get_anchor_strategy
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.config.schema import HeadConfig, LinearConfig, StitchingTask, SvmConfig
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks import stitching
from relrep_exp.tasks.decoders.classifiers import fit_decoders
from relrep_exp.tasks.held_out import fit_aligners
from relrep_exp.tasks.measure import measure

TASK = StitchingTask(name="test_stitch", kind="stitching", neighbours=5, view_samples=12)
CLASSIFICATION = {"f1_weighted", "accuracy", "f1_weighted_se", "accuracy_se"}
AGREEMENT = {"mrr", "recall@1", "recall@5", "mrr_se", "recall@1_se", "recall@5_se", "nmse", "cka", "overlap"}
NULL = {f"{one}_{what}" for one in ("cka", "overlap", "cknna") for what in ("null", "calibrated")}
CHANCE = {"cka_debiased", "cknna", *NULL}
OF_TARGET = {"rr_std", "effective_rank", "parallel_points"}
UNBOUNDED = {"nmse", "effective_rank", "rr_std", "parallel_points", "cka_debiased", "cknna_null"}
DECODERS = [LinearConfig(name="linear"), HeadConfig(name="mlp", epochs=1), SvmConfig(name="svm")]
RESCALED = [LinearConfig(name="linear", scaling="std"), replace(DECODERS[1], scaling="per_feature")]
KINDS = {RelativeAligner: 9, FirstRelativeAligner: 6, SingleRelativeAligner: 3}  # different decoders of each


def of_spaces(spaces, labels, split):
    """Paired embeddings that are the task's own, too."""
    corpora = {name: Corpus(x, split, labels) for name, x in spaces.items()}
    return Embeddings(corpora, corpora, dict.fromkeys(spaces, "key"))


def spaces_of(embeddings):
    return {name: corpus.x for name, corpus in embeddings.tasks.items()}


def labels_of(embeddings):
    return embeddings.tasks["a"].labels


def split_of(embeddings):
    return embeddings.tasks["a"].is_train


def with_spaces(embeddings, spaces):
    return of_spaces(spaces, labels_of(embeddings), split_of(embeddings))


@pytest.fixture(scope="module")
def embeddings(arrays):
    found = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return of_spaces({name: found[name] for name in "abc"}, found["labels"], found["is_train"])


class Watched:
    """A stitching run whose spaces and decoders can be looked at afterwards."""

    def __init__(
        self,
        embeddings,
        anchors="param",
        sim="wip",
        decoder=DECODERS[0],
        seed=0,
        kind=RelativeAligner,
        **space,
    ):
        self.spaces, self.fits = [], []
        strategy = anchors
        if anchors == "param":
            strategy = Param(ParamSettings(epochs=1, batch=32), get_similarity(sim))

        def make_space():
            how = {"shrinkage": 0.15, "standardise": "none", **space}
            self.spaces.append(RelativeSpace(strategy, sim, m=5, support=40, seed=seed, **how))
            return self.spaces[-1]

        def fit(work, jobs, classes):
            self.fits.append((jobs, classes, fit_decoders(work, jobs, classes)))
            return self.fits[-1][-1]

        make = AbsoluteAligner if anchors == "absolute" else lambda: kind("method", make_space)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stitching, "fit_decoders", fit)
            self.result = measured(embeddings, make, task=TASK, decoder=decoder, seed=seed)

    @property
    def decoders(self):
        [(_, _, decoders)] = self.fits
        return decoders

    def f1(self):
        rows = [row for row in self.result.rows if row.metric == "f1_weighted"]
        return {(row.source, row.target): row.value for row in rows}


def with_rows(embeddings, chosen, values):
    """The same embeddings, but for the chosen rows of each encoder."""
    spaces = {name: x.clone() for name, x in spaces_of(embeddings).items()}
    for x in spaces.values():
        x[chosen] = values(x[chosen])
    return with_spaces(embeddings, spaces)


def garbage(x):
    return 1000.0 * x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def same_tensors(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def learned(watched):
    """Everything that a run has learned of relative spaces: P, support, statistics, anchors."""
    found = []
    for space in watched.spaces:
        found += [space.anchor_set.ids, space.anchor_set.weights]
        for _, member in sorted(space.members.items()):
            found += [member.whitening.mean, member.whitening.matrix, member.anchors]
    return found


@pytest.fixture(scope="module")
def dirty(embeddings):
    """The same, but for the test rows."""
    return with_rows(embeddings, ~split_of(embeddings), garbage)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoder", DECODERS + RESCALED, ids=lambda d: f"{d.name}-{d.scaling}")
def test_test_rows_influence_nothing_that_is_learned(embeddings, dirty, decoder, kind):
    runs = [Watched(e, decoder=decoder, kind=kind) for e in (embeddings, dirty)]
    clean, dirty = map(learned, runs)
    assert len(clean) > 10
    assert same_tensors(clean, dirty)
    probe = torch.randn(50, 5, generator=torch.Generator().manual_seed(2))
    predictions = [[decoder.predict(probe * 0.3) for decoder in run.decoders] for run in runs]
    assert len(predictions[0]) == KINDS[kind]
    assert same_tensors(*predictions)
    assert len(torch.cat(predictions[0]).unique()) > 1
    assert runs[0].f1() != runs[1].f1()  # the garbage did reach the test


@pytest.mark.parametrize("anchors", ["absolute", "random", "kmeans", "fps"])
def test_test_rows_influence_no_other_method(embeddings, dirty, anchors):
    runs = [Watched(e, anchors) for e in (embeddings, dirty)]
    assert same_tensors(*map(learned, runs))
    features = [[job.x for job in run.fits[0][0]] for run in runs]
    assert len(features[0]) >= 3
    assert same_tensors(*features)


def test_test_labels_influence_no_training(embeddings):
    split = split_of(embeddings)
    labels = labels_of(embeddings).clone()
    labels[~split] = (labels[~split] + 1) % 3
    clean, dirty = Watched(embeddings), Watched(of_spaces(spaces_of(embeddings), labels, split))
    for before, after in zip(clean.fits[0][0], dirty.fits[0][0], strict=True):
        assert torch.equal(before.y, after.y)
        assert torch.equal(before.y, labels_of(embeddings)[split])
    probe = torch.randn(50, 5, generator=torch.Generator().manual_seed(2))
    assert same_tensors(*([decoder.predict(probe) for decoder in run.decoders] for run in (clean, dirty)))
    assert clean.f1() != dirty.f1()


def noisy(embeddings, name):
    """Embeddings whose encoder `name` is noise on the training rows, with the test rows as they were."""
    x, split = spaces_of(embeddings)[name].clone(), split_of(embeddings)
    x[split] = torch.randn(x[split].shape, generator=torch.Generator().manual_seed(3))
    return with_spaces(embeddings, {**spaces_of(embeddings), name: x})


def test_the_anchors_of_param_multi_never_saw_the_test_encoder(embeddings):
    clean = Watched(embeddings)
    for number, target in enumerate("abc"):
        dirty = Watched(noisy(embeddings, target))
        for held_out, before, after in zip("abc", clean.spaces, dirty.spaces, strict=True):
            before, after = before.anchor_set, after.anchor_set
            assert torch.equal(before.ids, after.ids)
            assert torch.equal(before.weights, after.weights) == (held_out == target)
        members = [run.spaces[number].members for run in (clean, dirty)]
        for name in "abc":
            assert torch.equal(members[0][name].anchors, members[1][name].anchors) == (name != target)


def test_the_anchors_of_param_single_depend_on_the_source_alone(embeddings):
    def by_source(run):
        return {next(iter(space.members)): space.anchor_set.weights for space in run.spaces if space.members}

    before = by_source(Watched(embeddings, kind=SingleRelativeAligner))
    assert before.keys() == set("abc")
    for name in "abc":
        after = by_source(Watched(noisy(embeddings, name), kind=SingleRelativeAligner))
        assert [source for source in before if not torch.equal(before[source], after[source])] == [name]


@pytest.mark.parametrize("anchors", ["random", "param"])
def test_rows_of_every_pair(embeddings, anchors):
    rows = Watched(embeddings, anchors).result.rows
    found = {}
    for row in rows:
        assert row.metric not in found.setdefault((row.source, row.target), {})
        found[row.source, row.target][row.metric] = row.value
    assert found.keys() == {(source, target) for source in "abc" for target in "abc"}
    for (source, target), values in found.items():
        own = CLASSIFICATION | OF_TARGET
        assert values.keys() == (own if source == target else CLASSIFICATION | AGREEMENT | CHANCE)
        bounded = [v for metric, v in values.items() if metric not in UNBOUNDED]
        assert all(0 <= value <= 1 for value in bounded)
    assert {row.method for row in rows} == {"method"}


def test_absolute_has_the_diagonal_alone(embeddings):
    watched = Watched(embeddings, "absolute")
    assert {(row.source, row.target) for row in watched.result.rows} == {(n, n) for n in "abc"}
    found = {row.metric for row in watched.result.rows}
    assert found == CLASSIFICATION | OF_TARGET - {"parallel_points"}  # no one else can read an encoder
    assert len(watched.decoders) == 3
    [view] = watched.result.views
    assert not view["shared"]


@pytest.mark.parametrize(("anchors", "sim"), [("random", "wip"), ("kmeans", "cosine"), ("param", "wip")])
def test_copies_of_one_encoder_are_read_as_well_as_itself(embeddings, anchors, sim):
    copies = with_spaces(embeddings, dict.fromkeys(("a", "b", "c"), spaces_of(embeddings)["a"]))
    watched = Watched(copies, anchors, sim)
    assert len(set(watched.f1().values())) == 1 and watched.f1()["a", "b"] > 0.8
    exact = {"mrr": 1.0, "recall@1": 1.0, "recall@5": 1.0, "nmse": 0.0, "cka": 1.0, "overlap": 1.0}
    found = [(row.value, exact[row.metric]) for row in watched.result.rows if row.metric in exact]
    assert len(found) == 36 and all(value == pytest.approx(best, abs=1e-5) for value, best in found)


def test_an_affine_image_is_read_like_the_original_by_wip(embeddings):
    generator = torch.Generator().manual_seed(4)
    x = spaces_of(embeddings)["a"].double()
    map_ = torch.randn(6, 6, generator=generator).double() + 2 * torch.eye(6)
    image = (x @ map_ + torch.randn(6, generator=generator) * 5).float()
    pair = with_spaces(embeddings, {"a": x.float(), "image": image})
    exact = Watched(pair, "random", "wip", shrinkage=0.0, eps=0.0)
    assert set(exact.f1()) == {(s, t) for s in ("a", "image") for t in ("a", "image")}
    for source in ("a", "image"):
        own = exact.f1()[source, source]
        assert own > 0.6  # chance is a third
        assert all(exact.f1()[source, target] == own for target in ("a", "image"))
    nmse = [row.value for row in exact.result.rows if row.metric == "nmse"]
    assert max(nmse) < 1e-4
    cosine = Watched(pair, "random", "cosine")
    assert max(row.value for row in cosine.result.rows if row.metric == "nmse") > 1e-2


def test_the_view_shows_the_first_test_samples(embeddings):
    [view] = Watched(embeddings, "random").result.views
    assert (view["source"], view["target"], view["shared"]) == ("a", "b", True)
    assert view["labels"] == labels_of(embeddings)[~split_of(embeddings)][:12].tolist()
    for name in ("native", "carried"):
        assert np.isfinite(view[name]).all() and np.shape(view[name]) == (12, 2)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(embeddings):
    first, again, other = (Watched(embeddings, "random", seed=seed).result.rows for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("kind", KINDS)
def test_learning_anchors_is_no_part_of_the_time_to_join(embeddings, kind):
    slow = 0.1

    def strategy(spaces, ids, m, seed):
        time.sleep(slow)
        return get_anchor_strategy("random")(spaces, ids, m, seed)

    watched = Watched(embeddings, strategy, kind=kind)
    taken = watched.result.timings
    assert taken["align"] >= 3 * slow and taken["join"] < taken["align"] / 2


@pytest.mark.parametrize("kind", KINDS)
def test_reading_rows_learns_nothing(embeddings, kind):
    learned = []

    def strategy(spaces, ids, m, seed):
        learned.append("+".join(spaces))
        return get_anchor_strategy("random")(spaces, ids, m, seed)

    work = work_of(embeddings)
    aligners = fit_aligners(work, lambda: kind("m", lambda: RelativeSpace(strategy, m=5, support=40)))
    assert {RelativeAligner: ["b+c", "a+c", "a+b"], FirstRelativeAligner: ["b", "a", "a"]}.get(
        kind, ["b", "c", "a", "a", "c", "b", "a", "b", "c"]
    ) == learned
    before = len(learned)
    measure(work, aligners)
    assert len(learned) == before and work.timings.keys() == {"align", "join", "decoders", "measure"}


def test_every_step_is_told_before_it_is_taken(embeddings, caplog):
    with caplog.at_level(logging.INFO, "relrep_exp"):
        measured(embeddings)
    told = [entry.getMessage() for entry in caplog.records if entry.name == "relrep_exp"]
    fits = [("b, c", "a"), ("a, c", "b"), ("a, b", "c")]
    expected = []
    for number, (others, target) in enumerate(fits, 1):
        expected += [f"fit {number} of 3: random-wip on {others}", f"join {number} of 3: {target}"]
    assert told == [*expected, "decoders: 3 of linear", "measure: 6 pairs"]  # equal anchors: one decoder each
