"""Eq. 3 as PARAM's module computes it, against Appendix A on raw embeddings."""

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
    spaces = {str(i): WhitenedSpace(x, Whitening.fit(x)) for i, x in enumerate(raw_spaces(encoders))}
    strategy = Param(SETTINGS, get_similarity(similarity))
    built = ParamModule(spaces, torch.arange(2, 2 + K), M, 0, strategy)
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
