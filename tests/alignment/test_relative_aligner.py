"""What an aligner learns from each encoder: whose P it is, and what a joining encoder has to give."""

import pytest
import torch

from relrep_exp.alignment.aligner import (
    FirstRelativeAligner,
    RelativeAligner,
    SingleRelativeAligner,
)
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.whitening import Whitening

from .literal import embeddings

N, K, M = 50, 20, 6
NAMES = ("c", "a", "b", "d")  # "a" is not where "first" would be by position
KINDS = [RelativeAligner, FirstRelativeAligner, SingleRelativeAligner]


def encoders():
    return {name: embeddings(seed, N, 4 + seed).float() for seed, name in enumerate(NAMES)}


class Held:
    """An aligner that the encoder `test` joined, and the spaces that it made."""

    def __init__(self, kind, xs, test, statistics="train", anchors="kmeans"):
        self.spaces = []

        def make_space():
            self.spaces.append(RelativeSpace(anchors, "wip", m=M, support=K, seed=0))
            return self.spaces[-1]

        self.aligner = kind("method", make_space, statistics)
        self.aligner.fit({name: Space(x) for name, x in xs.items() if name != test})
        self.aligner.join(test, Space(xs[test]))
        self.rr = {n: self.aligner.carry(xs[test], n, test) for n in xs if n != test}
        self.native = {n: self.aligner.carry(x, n, n) for n, x in xs.items() if n != test}

    @property
    def joined(self):
        """Those of the spaces that the test encoder joined; one of them for each decoder of PARAM Single."""
        return [space for space in self.spaces if space.members]


def perturbed(xs, name, rows=slice(None)):
    changed = {n: x.clone() for n, x in xs.items()}
    changed[name][rows] = 3 - 2 * torch.randn(
        changed[name][rows].shape, generator=torch.Generator().manual_seed(7)
    )
    return changed


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_support_are_those_of_the_support_rows_and_of_the_joining_encoder_alone(kind):
    xs = encoders()
    for space in Held(kind, xs, "d", "support").joined:
        for name, member in space.members.items():
            expected = Whitening.fit(xs[name][space.support_ids] if name == "d" else xs[name])
            assert torch.equal(member.whitening.mean, expected.mean)
            assert torch.equal(member.whitening.matrix, expected.matrix)
            assert member.whitening.count == (K if name == "d" else N)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statistics", ["train", "support"])
def test_a_joining_encoder_gives_its_other_training_rows_to_its_statistics_or_not_at_all(kind, statistics):
    xs = encoders()
    clean = Held(kind, xs, "d", statistics)
    outside = torch.ones(N, dtype=torch.bool)
    outside[clean.joined[0].support_ids] = False
    dirty = Held(kind, perturbed(xs, "d", outside), "d", statistics)
    x = xs["d"]
    before, after = ({n: held.aligner.carry(x, n, "d") for n in ("a", "b", "c")} for held in (clean, dirty))
    assert same(before, after) == (statistics == "support")
    assert same(clean.native, dirty.native)


@pytest.mark.parametrize("kind", KINDS)
def test_all_samples_in_the_support_leave_no_difference(kind):
    xs = {name: x[:K] for name, x in encoders().items()}
    train, support = (Held(kind, xs, "d", statistics) for statistics in ("train", "support"))
    assert same(train.rr, support.rr)


@pytest.mark.parametrize("test", NAMES)
@pytest.mark.parametrize("changed", NAMES)
def test_one_p_for_all_is_learned_on_the_first_training_encoder_and_never_on_the_test_encoder(test, changed):
    xs = encoders()
    clean, dirty = (Held(FirstRelativeAligner, e, test) for e in (xs, perturbed(xs, changed)))
    [before], [after] = clean.spaces, dirty.spaces
    first = "b" if test == "a" else "a"
    assert torch.equal(before.anchor_set.weights, after.anchor_set.weights) == (changed != first)
    own = RelativeSpace("kmeans", "wip", m=M, support=K, seed=0).fit({first: xs[first]})
    assert torch.equal(before.anchor_set.weights, own.anchor_set.weights)
    assert before.members.keys() == set(NAMES)
    assert list(clean.aligner.diagnostics()) == [first]


def test_each_decoder_of_single_has_the_p_that_its_own_encoder_gives():
    xs = encoders()
    single, first = Held(SingleRelativeAligner, xs, "d"), Held(FirstRelativeAligner, xs, "d")
    assert len(single.joined) == 3
    assert torch.equal(single.rr["a"], first.rr["a"])  # the first encoder's decoder reads the same
    assert not torch.equal(single.rr["b"], first.rr["b"])
    assert torch.equal(first.rr["a"], first.rr["b"])  # one space: the decoder makes no difference


@pytest.mark.parametrize(
    "kind, fits", [(RelativeAligner, ["c+a+b"]), (SingleRelativeAligner, ["c", "a", "b"])]
)
def test_curves_and_diagnostics_go_by_what_p_was_learned_on(kind, fits):
    held = Held(kind, encoders(), "d", anchors=Param(ParamSettings(epochs=2)))
    assert list(held.aligner.curves()) == list(held.aligner.diagnostics()) == fits
    assert all(len(curve) == 2 for curves in held.aligner.curves().values() for curve in curves.values())
    found = held.aligner.diagnostics()[fits[0]]
    assert found["support_size"] == K and set(found["condition"]) == {*fits[0].split("+"), "d"}
