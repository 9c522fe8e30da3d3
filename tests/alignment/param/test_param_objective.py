"""Eq. 3 as PARAM's module computes it, against Appendix A on raw embeddings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alignment import literal
from relrep_exp.alignment.anchors import WhitenedSpace
from relrep_exp.alignment.param.learn import LOSSES, Param, ParamModule, ParamSettings
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.alignment.whitening import Whitening

DIMS = {1: (4,), 2: (4, 7), 3: (4, 7, 3)}
SETTINGS = ParamSettings(coverage_chunk=4)
N, K, M = 12, 9, 5


def raw_spaces(encoders: int) -> list[torch.Tensor]:
    return [literal.embeddings(seed, N, d) for seed, d in enumerate(DIMS[encoders])]


def module(encoders: int, similarity: str = "wip", settings: ParamSettings = SETTINGS) -> ParamModule:
    spaces = {}
    for name, x in zip("abc", raw_spaces(encoders), strict=False):
        whitening = Whitening.fit(x)
        spaces[name] = WhitenedSpace(x, whitening, whitening(x))
    ids = torch.arange(2, 2 + K)
    return ParamModule(spaces, ids, M, 0, Param(settings, get_similarity(similarity)))


def literal_objective(
    encoders: int, logits: np.ndarray, rows: np.ndarray, similarity: str
) -> dict[str, float]:
    """Appendix A from the raw embeddings: mix, then whiten, as the paper writes it."""
    s, p = SETTINGS, literal.mixture(logits, SETTINGS.temperature)
    single, relative = [], []
    for x in (x.numpy() for x in raw_spaces(encoders)):
        anchors = np.array([sum(weight * x[2 + j] for j, weight in enumerate(row)) for row in p])
        mean, sigma = literal.shrunk(x, 0.15, 5e-8)
        root = literal.inverse_root(sigma)
        x_w = np.array([root @ (row - mean) for row in x[rows]])
        a_w = np.array([root @ (row - mean) for row in anchors])
        cover = literal.coverage(x_w, a_w, s.coverage_temperature)
        single.append((cover, literal.orthogonality(a_w), literal.length(a_w)))
        if similarity == "wip":
            relative.append(literal.wip(x[rows], anchors, x, 0.15, 5e-8))
        else:
            relative.append(literal.cosine(x[rows], anchors))
    means = np.mean(single, axis=0)
    return dict(zip(LOSSES, [literal.sym_nce(relative, s.nce_temperature), *means], strict=True))


ROWS = torch.tensor([7, 0, 3, 11, 5, 2, 10])


@pytest.mark.parametrize("similarity", ["wip", "cosine"])
@pytest.mark.parametrize("encoders", [1, 2, 3])
def test_every_term_and_the_total_are_the_papers(encoders, similarity):
    built = module(encoders, similarity)
    expected = literal_objective(encoders, built.logits.detach().numpy(), ROWS.numpy(), similarity)
    got = {name: float(value) for name, value in built.objective(ROWS).items()}
    assert got == pytest.approx(expected, rel=1e-6)
    s = SETTINGS
    total = (
        s.nce_weight * expected["symnce"]
        + s.coverage_weight * expected["coverage"]
        + s.length_weight * expected["length"]
        + s.orthogonality_weight * expected["orthogonality"]
    )
    assert float(built.training_step(ROWS[None], 0)["loss"]) == pytest.approx(total, rel=1e-6)


def test_one_encoder_is_trained_without_sym_nce():
    assert float(module(1).objective(ROWS)["symnce"]) == 0.0
    assert float(module(2).objective(ROWS)["symnce"]) > 0.1


def test_the_four_weights_each_reach_the_total():
    base = ParamSettings(
        coverage_chunk=4, nce_weight=0, coverage_weight=0, orthogonality_weight=0, length_weight=0
    )
    terms = {name: float(value) for name, value in module(2).objective(ROWS).items()}
    fields = ("nce_weight", "coverage_weight", "orthogonality_weight", "length_weight")
    assert float(module(2, settings=base).training_step(ROWS[None], 0)["loss"]) == 0.0
    for name, weight in zip(LOSSES, fields, strict=True):
        total = module(2, settings=replace(base, **{weight: 2.0})).training_step(ROWS[None], 0)["loss"]
        assert float(total) == pytest.approx(2 * terms[name], rel=1e-6)


def test_a_fresh_module_starts_at_standard_normal_logits_over_t():
    built = ParamModule(_one_space(), torch.arange(400), 300, 0, Param())
    assert float(built.logits.detach().mean()) == pytest.approx(0.0, abs=0.02)
    assert float(built.logits.detach().std()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(built.mixture(), torch.softmax(built.logits / 2.9, 1))


def _one_space() -> dict[str, WhitenedSpace]:
    x = literal.embeddings(0, 400, 3)
    whitening = Whitening.fit(x)
    return {"a": WhitenedSpace(x, whitening, whitening(x))}


@pytest.mark.parametrize("similarity", ["wip", "cosine", "euclidean"])
@pytest.mark.parametrize("encoders", [1, 2])
def test_the_gradient_of_the_objective_is_that_of_finite_differences(encoders, similarity):
    built = module(encoders, similarity)
    start = built.logits.detach().clone()
    del built.logits

    def total(logits: torch.Tensor) -> torch.Tensor:
        built.logits = logits
        terms = built.objective(ROWS)
        return torch.stack([terms[name] for name in LOSSES if encoders > 1 or name != "symnce"])

    assert torch.autograd.gradcheck(total, (start.double().requires_grad_(),), atol=1e-6)
