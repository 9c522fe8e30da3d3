"""PARAM's numbers, held: against a plain loop written from the paper, and against what they were."""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.param.learn import LOSSES
from relrep_exp.training.fit import EpochBatches
from relrep_exp.training.seeding import generator

from .synthetic import K, N, learn, views

GOLDEN = {
    "symnce": 1.02111,
    "coverage": 0.615111,
    "orthogonality": 0.191417,
    "length": 0.544485,
    "P[0,0]": 0.0653242,
    "P[1,7]": 0.0446027,
    "P[2,23]": 0.0310881,
    "P[4,11]": 0.0372954,
    "max P": 0.0951332,
    "points": 22.3711,
}


def appendix_b(x: torch.Tensor) -> torch.Tensor:
    """Whitened x, float64."""
    x = x.double()
    sigma = torch.cov(x.T)
    d = len(sigma)
    eye = torch.eye(d, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(0.85 * sigma + 0.15 * sigma.trace() / d * eye + 5e-8 * eye)
    return (x - x.mean(0)) @ vectors @ torch.diag(values.rsqrt()) @ vectors.T


def appendix_a(p: torch.Tensor, whitened: list[torch.Tensor], rows: torch.Tensor) -> list[torch.Tensor]:
    """symNCE, coverage, orthogonality, length with autograd's own functions."""
    single, relative = [], []
    for x in whitened:
        anchors = p @ x[:K]
        distances = torch.cdist(x[rows], anchors, compute_mode="donot_use_mm_for_euclid_dist").square()
        cover = ((distances / -2.7).softmax(1) * distances).sum(1).mean() / x.shape[1]
        cosines = F.cosine_similarity(anchors[:, None], anchors[None], dim=2)
        distinct = cosines[~torch.eye(len(p), dtype=torch.bool)]
        single.append(
            torch.stack([cover, distinct.square().mean(), (anchors.norm(dim=1) - 1).square().mean()])
        )
        relative.append(F.normalize(x[rows] @ anchors.T, dim=1))
    own = torch.arange(len(rows))
    logits = [a @ b.T / 0.1 for a, b in combinations(relative, 2)]
    nce = [0.5 * (F.cross_entropy(one, own) + F.cross_entropy(one.T, own)) for one in logits]
    return [torch.stack(nce).mean(), *torch.stack(single).mean(0)]


def plain_loop(
    spaces: dict[str, torch.Tensor], m: int, seed: int, epochs: int, batch: int, lr: float, rows: int = N
):
    """Algorithm 1, line 3: Adam on the logits; returns P and the mean losses of each epoch.

    The losses are of the first `rows` samples, statistics of all.
    """
    whitened = [appendix_b(x) for x in spaces.values()]
    logits = torch.randn(m, K, generator=generator(seed, "param logits")).double().requires_grad_()
    optimizer, batches = (
        torch.optim.Adam([logits], lr),
        EpochBatches(rows, batch, [seed], torch.device("cpu")),
    )
    curves = []
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        steps = []
        for drawn in batches:
            terms = appendix_a((logits / 2.9).softmax(1), whitened, drawn[0])
            optimizer.zero_grad()
            sum(w * term for w, term in zip((0.70, 11.3, 0.27, 1.2), terms, strict=True)).backward()
            optimizer.step()
            steps.append([float(term.detach()) for term in terms])
        curves.append(np.mean(steps, axis=0))
    return (logits / 2.9).softmax(1).detach(), np.array(curves)


@pytest.mark.parametrize("pairs, rows, epochs", [("all", N, 5), ("support", K, 10)])  # 20 steps each
@pytest.mark.parametrize("encoders", [2, 3])
def test_a_fit_is_a_plain_loop_over_the_papers_formulas(encoders, pairs, rows, epochs):
    p, curves = plain_loop(views(encoders), m=7, seed=4, epochs=epochs, batch=16, lr=0.08, rows=rows)
    got = learn(views(encoders), seed=4, epochs=5, lr=0.08, pairs=pairs)
    np.testing.assert_allclose(np.array([got.curves[name] for name in LOSSES]).T, curves, rtol=1e-4)
    np.testing.assert_allclose(got.weights, p, atol=1e-5)
    start = torch.softmax(torch.randn(7, K, generator=generator(4, "param logits")) / 2.9, 1)
    assert float((got.weights - start).abs().max()) > 0.01


def golden_run() -> AnchorSet:
    """A default-like run on numbers of numpy's RandomState, whose stream is fixed for good."""
    random = np.random.RandomState(0)
    shared = random.randn(48, 4)
    spaces = [shared @ random.randn(4, d) + 0.2 * random.randn(48, d) + 1 for d in (4, 6)]
    tensors = {name: torch.from_numpy(x).float() for name, x in zip("ab", spaces, strict=True)}
    return learn(tensors, m=5, k=24, epochs=12, batch=32, lr=0.03)


def test_golden_numbers_of_p_and_of_the_final_losses():
    anchors = golden_run()
    got = {name: curve[-1] for name, curve in anchors.curves.items()}
    got |= {f"P[{r},{c}]": float(anchors.weights[r, c]) for r, c in ((0, 0), (1, 7), (2, 23), (4, 11))}
    got |= {"max P": float(anchors.weights.max()), "points": float(anchors.effective_points().mean())}
    assert got == pytest.approx(GOLDEN, rel=1e-3)
