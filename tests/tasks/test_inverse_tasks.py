"""What inverse relative projection assumes: cosines can be inverted, decoders are blind to scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from works import measured

from relrep_exp.alignment.anchors import AnchorSet, Space, choose_anchors, get_anchor_strategy
from relrep_exp.config.schema import (
    AbsoluteConfig,
    InverseRelativeConfig,
    InvertibilityTask,
    PickedAnchors,
    RescalingTask,
)
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import UserError
from relrep_exp.tasks import inverse_projection
from relrep_exp.tasks.inverse_projection import PlainHead

N, TRAIN, DIM = 120, 90, 6
TASK = InvertibilityTask(name="invertibility", kind="invertibility")


@pytest.fixture(scope="module")
def embeddings():
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(N) % 3
    centres = 4 * torch.randn(3, DIM, generator=generator)
    x = centres[labels] + torch.randn(N, DIM, generator=generator)
    corpora = {"a": Corpus(x, torch.arange(N) < TRAIN, labels)}
    return Embeddings(corpora, corpora, {"a": "key"})


def made_again(embeddings, m, **settings):
    def choose(spaces):
        return choose_anchors(get_anchor_strategy("random"), spaces, m, support=TRAIN, seed=0)

    aligner = InverseRelativeConfig(name="inverse_relative", support=TRAIN, **settings)
    result = measured(embeddings, task=TASK, aligner=aligner, anchors=PickedAnchors(name="random", m=m))
    return {row.metric: row.value for row in result.rows}, choose


def test_from_as_many_anchors_as_dimensions_on_nothing_but_the_norm_is_lost(embeddings):
    few, enough = (made_again(embeddings, m)[0] for m in (3, 20))
    assert enough["reconstruction_cosine"] == pytest.approx(1, abs=1e-6)
    assert enough["reconstruction_rank"] == DIM
    assert few["reconstruction_cosine"] < 0.99 and few["reconstruction_relative_error"] > 0.05


def test_the_cosine_is_that_of_a_projection_on_the_anchors(embeddings):
    """Transcribed with numpy: centred, the pseudo-inverse of the unit anchors projects on what they span."""
    found, choose = made_again(embeddings, 4)
    x = embeddings.paired["a"].x.double().numpy()
    space = {"a": Space(embeddings.paired["a"].x[:TRAIN])}
    anchors = x[choose(space).ids[choose(space).weights.argmax(1)].numpy()]
    mean = anchors.mean(0)
    unit = (anchors - mean) / np.linalg.norm(anchors - mean, axis=1, keepdims=True)
    test = x[TRAIN:] - mean
    back = test @ unit.T @ np.linalg.pinv(unit).T
    cosines = (back * test).sum(1) / np.linalg.norm(back, axis=1) / np.linalg.norm(test, axis=1)
    assert found["reconstruction_cosine"] == pytest.approx(cosines.mean(), abs=1e-6)


def test_anchors_that_are_all_one_sample_are_refused_by_the_encoders_name(embeddings, monkeypatch):
    def choose(spaces):
        return AnchorSet.picking(torch.arange(TRAIN), torch.tensor([4, 4]))

    monkeypatch.setattr(inverse_projection, "parallel_anchors", lambda work: choose)
    with pytest.raises(UserError, match="a: all anchors of the first space are equal"):
        measured(embeddings, task=TASK, aligner=InverseRelativeConfig(name="inverse_relative"))


@pytest.mark.parametrize("activation", ["relu", "cosine"])
def test_a_monotone_decoder_reads_larger_inputs_and_a_cosine_does_not(embeddings, activation):
    task = RescalingTask(name="rescaling", kind="rescaling", activation=activation)
    result = measured(embeddings, task=task, aligner=AbsoluteConfig(name="absolute"))
    found = {row.metric: row.value for row in result.rows}
    assert found["accuracy@1"] > 0.9
    assert (found["accuracy@100"] > 0.9) == (activation == "relu")
    again = measured(embeddings, task=task, aligner=AbsoluteConfig(name="absolute"))
    assert again.rows == result.rows


def test_without_biases_relu_is_exactly_blind_to_scale():
    head = PlainHead(torch.randn(8, DIM), torch.zeros(8, dtype=torch.int64), 3, "relu")
    torch.nn.init.zeros_(head.first.bias)
    torch.nn.init.zeros_(head.last.bias)
    x = torch.randn(5, DIM)
    torch.testing.assert_close(head(16 * x), 16 * head(x))
