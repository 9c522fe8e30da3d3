"""Where P starts: normal logits, or pairs of anchors along the consensus of the training encoders."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment.param.learn import Param, ParamModule, ParamSettings
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.training.seeding import generator

from .synthetic import K, learn, views, whitened


def normal_logits(m, samples, std, seed):
    return std * torch.randn(m, samples, generator=generator(seed, "param logits"))


def started(start, m, spaces=None, similarity="wip"):
    """P before any step, and its logits."""
    strategy = Param(ParamSettings(start=start), get_similarity(similarity))
    module = ParamModule(whitened(spaces or views()), torch.arange(K), m, 5, strategy)
    return module.mixture().detach(), module.logits.detach()


def coordinates(spaces):
    """Standardised left singular vectors of the whitened support side by side, [K, r]."""
    side = np.concatenate(
        [space.whitened[:K].double().numpy() for space in whitened(spaces).values()], axis=1
    )
    left = np.linalg.svd(side - side.mean(0), full_matrices=False)[0]
    return left / left.std(0)


@pytest.mark.parametrize("similarity", ["wip", "cosine"])
def test_half_of_the_anchors_start_in_pairs_along_the_consensus_and_half_as_ever(similarity):
    m = 13  # three dimensions: six anchors of thirteen
    weights, logits = started("consensus", m, similarity=similarity)
    z = coordinates(views())
    for k in range(3):
        expected = [np.exp(sign * z[:, k]) / np.exp(sign * z[:, k]).sum() for sign in (1, -1)]
        pair = weights[2 * k : 2 * k + 2].double().numpy()
        assert min(np.abs(pair - order).max() for order in (expected, expected[::-1])) < 1e-5, k
    assert torch.equal(logits[6:], normal_logits(m, K, 1.0, 5)[6:])
    assert torch.equal(started("normal", m)[1], normal_logits(m, K, 1.0, 5))


def test_there_are_no_more_pairs_than_directions():
    x = views(1)  # of dimension 5: 40 anchors would have ten
    _, logits = started("consensus", 40, x)
    drawn = normal_logits(40, K, 1.0, 5)
    assert torch.equal(logits[10:], drawn[10:]) and not torch.isclose(logits[:10], drawn[:10]).all(1).any()
    assert torch.equal(started("consensus", 3, x)[1], normal_logits(3, K, 1.0, 5))


def test_one_epoch_from_the_consensus_is_worth_more_than_six_from_normal_numbers():
    weights = ParamSettings().weights()

    def reached(epochs, start):
        curves = learn(views(3, noise=0.1), m=24, epochs=epochs, start=start).curves
        return sum(weights[name] * curve[-1] for name, curve in curves.items())

    assert reached(1, "consensus") < reached(6, "normal")
