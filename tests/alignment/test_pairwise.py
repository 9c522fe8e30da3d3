"""The aligner that translates between encoders: what it uses, and what it says when misused."""

import pytest
import torch

from relrep_exp.alignment.aligner import PairwiseAligner
from relrep_exp.alignment.anchors import Space, choose_anchors, get_anchor_strategy
from relrep_exp.alignment.translation import translation
from tests.alignment.literal import embeddings

RANDOM = get_anchor_strategy("random")


def aligner(m=12, strategy=RANDOM):
    return PairwiseAligner(
        "random-linear",
        lambda spaces: choose_anchors(strategy, spaces, m, support=30, seed=0),
        lambda x, y, pair: translation("linear", x, y),
    )


def spaces():
    return {name: embeddings(seed, 40, d) for seed, (name, d) in enumerate({"a": 5, "b": 6, "c": 4}.items())}


def fitted(x):
    made = aligner().fit({name: Space(x[name]) for name in "ab"})
    made.join("c", Space(x["c"]))
    return made


def test_only_the_anchors_of_the_two_encoders_matter():
    x = spaces()
    ids = choose_anchors(RANDOM, {"a": Space(x["a"])}, 12, support=30, seed=0)
    anchors = {name: ids.mix(x[name][ids.ids]) for name in x}
    test = embeddings(9, 7, 4)
    wanted = translation("linear", anchors["c"], anchors["a"])(test)
    used = set(ids.ids[ids.weights.argmax(1)].tolist())
    others = [row for row in range(40) if row not in used]
    changed = {name: z.clone() for name, z in x.items()}
    for name in changed:
        changed[name][others] = 1e3
    changed["b"] = changed["b"] * 7  # the third encoder has no part either
    for given in (x, changed):
        made = fitted(given)
        assert torch.allclose(made.carry(test, "a", "c"), wanted)
        assert made.points() == 12 and made.carry(test, "c", "c") is test


def test_an_encoder_that_never_joined_another_dimension_and_no_fit_are_told():
    made = fitted(spaces())
    with pytest.raises(ValueError, match="encoder 'd' never joined; there are a, b, c"):
        made.carry(torch.zeros(2, 4), "a", "d")
    with pytest.raises(ValueError, match=r"'c' has dimension 4, x is \(2, 5\)"):
        made.carry(torch.zeros(2, 5), "a", "c")
    with pytest.raises(ValueError, match="no map from 'b' to 'a'"):
        made.carry(torch.zeros(2, 6), "a", "b")
    with pytest.raises(RuntimeError, match="fit"):
        aligner().join("c", Space(spaces()["c"]))
