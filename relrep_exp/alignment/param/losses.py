"""Eq. 3 as it is printed (Section 3.2, Appendices A, B and D): what one reads, and what tests hold `fast` to.

Plain PyTorch on raw embeddings, one encoder after the other, with autograd's gradients. Training takes
`fast.py`, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.anchors import WhitenedSpace
from relrep_exp.alignment.similarity import Similarity

if TYPE_CHECKING:
    from relrep_exp.alignment.param.learn import ParamSettings


def whiten(x: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Whiten embeddings of one encoder, x_w = L (x - mu) (Appendix B).

    Args:
        x: embeddings or anchors, [n, d].
        mean: mu, float64, [d].
        root: L = Sigma_lambda^(-1/2), symmetric, [d, d].

    Returns:
        [n, d].
    """
    return (x - mean).to(root.dtype) @ root


def mixture(logits: Tensor, temperature: float) -> Tensor:
    """Make P row-stochastic, P = softmax(logits / T) (Appendix D). logits [m, K] -> [m, K]."""
    return (logits / temperature).softmax(1)


def coverage(x_w: Tensor, a_w: Tensor, tau: float) -> Tensor:
    """Measure L_cov = E_x[sum_r q_r(x) |x_w - a_w,r|^2] / d, with q(x) = softmax(-|x_w - a_w,r|^2 / tau).

    Args:
        x_w: whitened samples, [B, d].
        a_w: whitened anchors, [m, d].
        tau: tau_cov of the soft assignment q.

    Returns:
        A scalar.
    """
    distances = torch.cdist(x_w, a_w).square()
    assignments = (-distances / tau).softmax(1)
    return (assignments * distances).sum(1).mean() / x_w.shape[1]


def orthogonality(a_w: Tensor) -> Tensor:
    """Measure L_orth, the mean of cos(a_r, a_s)^2 over r != s; 0 for one anchor. a_w [m, d] -> scalar."""
    m, unit = len(a_w), F.normalize(a_w, dim=1)
    cosines: Tensor = unit @ unit.T
    mean: Tensor = (cosines.square().sum() - m) / max(m * (m - 1), 1)
    return mean


def length(a_w: Tensor) -> Tensor:
    """Measure L_len, the mean of (|a_w,r| - 1)^2 over anchors. a_w [m, d] -> scalar."""
    lengths: Tensor = a_w.norm(dim=1)
    return (lengths - 1.0).square().mean()


def sym_nce(representations: Sequence[Tensor], tau: float) -> Tensor:
    """Measure L_symNCE, cross-entropy both ways of the cosines over tau, averaged over pairs of encoders.

    Args:
        representations: RR of the same B samples by each encoder, [B, m].
        tau: temperature of the logits.

    Returns:
        A scalar; 0 for one encoder (Eq. 3 with B = 1).
    """
    unit = [F.normalize(r, dim=1) for r in representations]
    own = torch.arange(len(unit[0]), device=unit[0].device)
    found = [unit[0].new_zeros(())] if len(unit) == 1 else []
    for one, other in combinations(unit, 2):
        logits = one @ other.T / tau
        found.append(0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)))
    return torch.stack(found).mean()


def terms(
    logits: Tensor,
    spaces: Sequence[WhitenedSpace],
    ids: Tensor,
    rows: Tensor,
    settings: ParamSettings,
    similarity: Similarity,
) -> dict[str, Tensor]:
    """Compute the four losses on a minibatch: of each encoder, then their mean, and of all pairs.

    Args:
        logits: of P, [m, K].
        spaces: embeddings and statistics of each training encoder.
        ids: the support's row numbers, [K].
        rows: the minibatch's, [B].
        settings: temperatures.
        similarity: of the relative representations that symNCE compares.

    Returns:
        Scalars by name, in the order of `LOSSES`.
    """
    p = mixture(logits, settings.temperature)
    single, relative = [], []
    for space in spaces:
        x, anchors = space.x[rows], p @ space.x[ids]  # Eq. 2
        x_w, a_w = (whiten(points, space.whitening.mean, space.whitening.matrix) for points in (x, anchors))
        cover = coverage(x_w, a_w, settings.coverage_temperature)
        single.append(torch.stack([cover, orthogonality(a_w), length(a_w)]))
        relative.append(similarity(x, anchors, space.whitening))  # Eq. 1
    cover, orthogonal, long = torch.stack(single).mean(0)
    nce = sym_nce(relative, settings.nce_temperature)
    return {"symnce": nce, "coverage": cover, "orthogonality": orthogonal, "length": long}


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weigh and add the losses (Eq. 3). Both by name -> scalar."""
    return torch.stack([weights[name] * loss for name, loss in terms.items()]).sum()
