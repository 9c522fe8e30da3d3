"""Embeddings that nothing can be estimated on are told before any work, each encoder by name."""

from dataclasses import replace

import pytest
import torch

from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import UserError
from relrep_exp.tasks.checks import require


def embeddings(**encoders):
    is_train = torch.arange(40) < 30
    corpora = {name: Corpus(x, is_train, torch.arange(40) % 2) for name, x in encoders.items()}
    return Embeddings(corpora, corpora, {name: name for name in corpora})


def cloud(seed):
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def told_of(config_of):
    def told(given, *overrides, whole=False):
        try:
            require(config_of(*overrides), given)
        except UserError as error:
            return [problem if whole else problem.what for problem in error.problems]
        return []

    return told


def test_sound_embeddings_have_none(told_of):
    assert told_of(embeddings(a=cloud(0), b=cloud(1), c=cloud(2)), "aligner=ortho") == []


def test_not_finite_and_collapsed_encoders_are_named(told_of):
    broken, flat = cloud(1), torch.ones(40, 4)
    broken[33, 2] = torch.inf
    given = embeddings(a=cloud(0), b=broken, c=flat)
    assert told_of(given, "aligner=linear") == ["b: its embeddings hold NaN or infinite values"]
    whole = embeddings(a=cloud(0), b=cloud(1), c=flat)
    said = ["c: the embeddings of all training samples are equal, so nothing can be estimated"]
    assert told_of(whole, "aligner=inverse_relative") == said == told_of(whole, "anchors=random")
    assert told_of(whole, "aligner=absolute") == []


def test_one_parallel_sample_is_too_few(told_of):
    given = embeddings(a=cloud(0), b=cloud(1), c=cloud(2))
    few = {name: replace(corpus, is_train=torch.arange(40) == 0) for name, corpus in given.paired.items()}
    said = told_of(replace(given, paired=few), "aligner=ortho", "anchors.m=all")
    assert said == ["aligner=ortho needs at least 2 parallel samples, and there are 1"]


def test_dead_units_give_a_consensus_no_dimension(told_of):
    dead = cloud(1)
    dead[:, 2:] = 0
    given = embeddings(a=cloud(0), b=dead, c=cloud(2))
    most = "these encoders have at most 6 dimensions in 30 parallel samples"
    assert told_of(given, "aligner=consensus", "aligner.m=7") == [f"aligner.m=7: {most}"]
    assert told_of(given, "aligner=consensus", "aligner.m=6") == []


def test_sizes_that_do_not_go_together(told_of):
    given = embeddings(a=cloud(0), b=cloud(1), c=cloud(2))
    [told] = told_of(given, "anchors=random", "anchors.m=31", whole=True)
    assert told.remedy == "set anchors.m=30 or less, or use anchors=param"
    assert told_of(given, "anchors=random", "anchors.m=30") == []
    assert told_of(given, "anchors=param", "anchors.m=600") == []
    [support] = told_of(given, "anchors=fps", "anchors.m=21", "aligner.support=20")
    assert "picks from 20 support samples" in support
    for batch, problems in ((29, 1), (28, 0), (30, 0)):
        told = told_of(given, "anchors=random", "decoder=mlp_paper", f"decoder.batch={batch}")
        assert len(told) == problems


def test_labels_that_no_decoder_can_be_trained_on(told_of):
    given = embeddings(a=cloud(0), b=cloud(1))
    without, one_class = (
        {name: replace(corpus, labels=labels) for name, corpus in given.tasks.items()}
        for labels in (None, torch.zeros(40, dtype=torch.int64))
    )
    [told] = told_of(replace(given, tasks=without))
    assert "no labels" in told
    told = told_of(replace(given, tasks=one_class))
    assert told == [f"{name}: all training labels are the same" for name in "ab"]


def test_one_encoder_cannot_be_stitched(told_of):
    [told] = told_of(embeddings(a=cloud(0)), "anchors=random", whole=True)
    assert "one encoder only: a" in told.what and "at least two" in told.remedy
