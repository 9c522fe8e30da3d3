"""Embeddings that nothing can be estimated on are told before any work, each encoder by name."""

from dataclasses import replace

import pytest
import torch
from works import TINY

from relrep_exp.config.schema import (
    AbsoluteConfig,
    ConsensusConfig,
    HeadConfig,
    InverseRelativeConfig,
    LinearMapConfig,
    OrthoConfig,
    PickedAnchors,
)
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import UserError
from relrep_exp.tasks.checks import require

LABELS = torch.arange(40) % 2
FLAT = torch.ones(40, 4)


def cloud(seed):
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(seed))


def embeddings(train=30, labels=LABELS, **encoders):
    encoders = {"a": cloud(0), "b": cloud(1), "c": cloud(2), **encoders}
    corpora = {name: Corpus(x, torch.arange(40) < train, labels) for name, x in encoders.items()}
    return Embeddings(corpora, corpora, {name: name for name in corpora})


def told(given, **groups):
    """The problems, each with its remedy."""
    try:
        require(replace(TINY, **groups), given)
    except UserError as error:
        return [(problem.what, problem.remedy) for problem in error.problems]
    return []


def spoiled(x, row, column, value):
    x[row, column] = value
    return x


EQUAL = "c: the embeddings of all training samples are equal, so nothing can be estimated"
SAME = "all training labels are the same"


@pytest.mark.parametrize(
    ("given", "groups", "whats"),
    [
        ({}, {"aligner": OrthoConfig(name="ortho")}, []),
        (
            {"b": spoiled(cloud(1), 33, 2, torch.inf), "c": FLAT},
            {"aligner": LinearMapConfig(name="linear")},
            ["b: its embeddings hold NaN or infinite values"],
        ),
        ({"c": FLAT}, {"aligner": InverseRelativeConfig(name="inverse_relative")}, [EQUAL]),
        ({"c": FLAT}, {}, [EQUAL]),
        ({"c": FLAT}, {"aligner": AbsoluteConfig(name="absolute")}, []),
        (
            {"train": 1, "labels": None},
            {"aligner": OrthoConfig(name="ortho"), "anchors": PickedAnchors(name="random", m="all")},
            ["aligner=ortho needs at least 2 parallel samples, and there are 1"],
        ),
        (
            {"train": 3},
            {"aligner": ConsensusConfig(name="consensus")},
            ["aligner=consensus needs at least 4 parallel samples, and there are 3"],
        ),
        (  # dead units give a consensus no dimension
            {"b": spoiled(cloud(1), slice(None), slice(2, None), 0)},
            {"aligner": ConsensusConfig(name="consensus", m=7)},
            ["aligner.m=7: these encoders have at most 6 dimensions in 30 parallel samples"],
        ),
        (
            {"b": spoiled(cloud(1), slice(None), slice(2, None), 0)},
            {"aligner": ConsensusConfig(name="consensus", m=6)},
            [],
        ),
        ({"labels": torch.zeros(40).long()}, {}, [f"{name}: {SAME}" for name in "abc"]),
    ],
)
def test_what_embeddings_do_not_allow(given, groups, whats):
    assert [what for what, _ in told(embeddings(**given), **groups)] == whats


def test_sizes_that_do_not_go_together(config_of):
    given, many = embeddings(), PickedAnchors(name="random", m=31)
    assert told(given, anchors=many) == [
        (
            "anchors.m=31: random picks from 30 support samples",
            "set anchors.m=30 or less, or use anchors=param",
        )
    ]
    [(_, remedy)] = told(given, anchors=many, aligner=OrthoConfig(name="ortho"))
    assert remedy == "set anchors.m=30 or less, or anchors.m=all"
    assert told(given, anchors=replace(many, m=30)) == []
    assert told(given, anchors=config_of("anchors=param", "anchors.m=600").anchors) == []
    [(what, _)] = told(given, anchors=many, aligner=replace(TINY.aligner, support=20))
    assert "picks from 20 support samples" in what
    for batch, problems in ((29, 1), (28, 0), (30, 0)):
        assert len(told(given, decoder=HeadConfig(name="mlp_paper", batch=batch))) == problems


def test_one_encoder_cannot_be_stitched():
    one = embeddings()
    one = Embeddings({"a": one.paired["a"]}, {"a": one.tasks["a"]}, {"a": "a"})
    assert told(one) == [("one encoder only: a", "stitching needs at least two")]
