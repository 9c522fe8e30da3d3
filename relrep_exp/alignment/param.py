"""PARAM's losses (Appendix A), in whitened coordinates.

P's rows sum to one, so whitening commutes with mixing, L (P X - mu) = P L (X - mu): the whitened anchors are
A_w = P S_w, and relative representations, distances and Gram matrix all come from A_w and x_w A_w^T.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

ONE_SHIFT_BOUND = 40.0  # exp(-2 * 40) is still a normal float32


def mixture(logits: Tensor, temperature: float) -> Tensor:
    """P = softmax(logits / T) row by row (Appendix D). logits [m, K] -> row-stochastic [m, K]."""
    return torch.softmax(logits / temperature, dim=1)


def coverage(x: Tensor, anchors: Tensor, tau: float, chunk: int, products: Tensor | None = None) -> Tensor:
    """L_cov: soft k-means distortion in whitened space, over d.

    Args:
        x: whitened embeddings, [B, d].
        anchors: whitened anchors, [m, d].
        tau: temperature of the soft assignment.
        chunk: rows whose [chunk, m] assignments are held at once, forward and backward.
        products: x anchors^T [B, m], where the caller has it already.

    Returns:
        A scalar.
    """
    products = x @ anchors.T if products is None else products
    x_sq, a_sq = x.square().sum(1), anchors.square().sum(1)
    parts = zip(products.split(chunk), x_sq.split(chunk), strict=True)
    if len(x) <= chunk:
        total = _distortion(products, x_sq, a_sq, tau)
    else:
        recomputed = [checkpoint(_distortion, p, s, a_sq, tau, use_reentrant=False) for p, s in parts]
        total = torch.stack(recomputed).sum()
    return total / x.numel()


def _distortion(products: Tensor, x_sq: Tensor, a_sq: Tensor, tau: float) -> Tensor:
    """sum_x sum_r q_r(x) |x_w - a_w,r|^2 from x A^T [B, m], |x|^2 [B] and |a|^2 [m]."""
    distances = (x_sq[:, None] + a_sq - 2.0 * products).clamp_min(0.0)
    assigned = torch.softmax(-distances / tau, dim=1)
    distortion: Tensor = (assigned * distances).sum()
    return distortion


def orthogonality(anchors: Tensor) -> Tensor:
    """L_orth: mean squared cosine over distinct pairs of whitened anchors [m, d]; 0 for a single anchor.

    (|G|_F^2 - m) / (m (m - 1)), with |G|_F^2 taken from the smaller of the two Gram matrices.
    """
    m, d = anchors.shape
    unit = F.normalize(anchors, dim=1)
    gram = unit.T @ unit if d < m else unit @ unit.T
    off_diagonal: Tensor = gram.square().sum() - m
    mean: Tensor = off_diagonal / max(m * (m - 1), 1)
    return mean


def length(anchors: Tensor) -> Tensor:
    """L_len: mean of (|a_w| - 1)^2 over whitened anchors [m, d]."""
    return (anchors.norm(dim=1) - 1.0).square().mean()


def sym_nce(first: Tensor, second: Tensor, tau: float) -> Tensor:
    """L_symNCE of two batches of relative representations [B, m] with parallel rows."""
    first, second = F.normalize(first, dim=1) / tau, F.normalize(second, dim=1)
    normalisers = _log_sum_exp_both_ways(first @ second.T, bound=1.0 / tau)
    return normalisers - (first * second).sum(1).mean()


def _log_sum_exp_both_ways(logits: Tensor, bound: float) -> Tensor:
    """Half the mean log-sum-exp of rows plus half that of columns, of logits [B, B] in [-bound, bound].

    One exp serves both directions, shifted by the largest value that a logit can have; where the range of
    logits is too wide for that in float32, each row and each column is shifted by its own maximum.
    """
    if bound > ONE_SHIFT_BOUND:
        return 0.5 * (logits.logsumexp(1) + logits.logsumexp(0)).mean()
    e = (logits - bound).exp()
    return 0.5 * (e.sum(1).log() + e.sum(0).log()).mean() + bound


def sym_nce_over_pairs(representations: Sequence[Tensor], tau: float) -> Tensor:
    """Mean of L_symNCE over all pairs of encoders; 0 for one encoder (Eq. 3 with B = 1)."""
    pairs = [sym_nce(first, second, tau) for first, second in combinations(representations, 2)]
    return torch.stack(pairs).mean() if pairs else representations[0].new_zeros(())
