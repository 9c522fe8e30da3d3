"""PARAM's losses (Appendix A), for all training encoders at once.

P's rows sum to one, so whitening commutes with mixing, L (P X - mu) = P L (X - mu): the whitened anchors are
A_w = P S_w, and relative representations, distances, lengths and angles all come from the products
x_w A_w^T [B, m] and A_w A_w^T [m, m]. The leading dimension E runs over encoders.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

ONE_SHIFT_BOUND = 40.0  # exp(-2 * 40) is still a normal float32


def mixture(logits: Tensor, temperature: float) -> Tensor:
    """P = softmax(logits / T) row by row (Appendix D). logits [m, K] -> row-stochastic [m, K]."""
    return torch.softmax(logits / temperature, dim=1)


def coverage(
    products: Tensor, x_squares: Tensor, anchor_squares: Tensor, dims: Tensor, tau: float, chunk: int
) -> Tensor:
    """L_cov: soft k-means distortion in whitened space, over d.

    Args:
        products: x_w A_w^T, [E, B, m].
        x_squares: |x_w|^2, [E, B].
        anchor_squares: |a_w|^2, [E, m].
        dims: d of each encoder, [E].
        tau: temperature of the soft assignment.
        chunk: samples whose [E, chunk, m] assignments are held at once, forward and backward.

    Returns:
        One loss per encoder, [E].
    """
    samples = products.shape[1]
    if samples <= chunk:
        excess = _excess(products, anchor_squares, tau)
    else:
        rows = torch.split(products, chunk, dim=1)
        parts = [checkpoint(_excess, part, anchor_squares, tau, use_reentrant=False) for part in rows]
        excess = torch.stack(parts).sum(0)
    return (x_squares.sum(1) + excess) / (dims * samples)


def _excess(products: Tensor, anchor_squares: Tensor, tau: float) -> Tensor:
    """sum_x sum_r q_r(x) (|x - a_r|^2 - |x|^2), [E]; |x|^2 is common to all r and drops out of q."""
    excess = anchor_squares[:, None] - 2.0 * products
    weighted: Tensor = torch.softmax(excess / -tau, dim=2) * excess
    return weighted.sum((1, 2))


def orthogonality(gram: Tensor) -> Tensor:
    """L_orth: mean squared cosine over distinct pairs of anchors; 0 for a single anchor.

    Args:
        gram: A_w A_w^T, [E, m, m].

    Returns:
        One loss per encoder, [E].
    """
    m = gram.shape[1]
    squares = gram.diagonal(dim1=1, dim2=2)
    cosines_squared = gram.square() / (squares[:, :, None] * squares[:, None, :])
    mean: Tensor = (cosines_squared.sum((1, 2)) - m) / max(m * (m - 1), 1)
    return mean


def length(anchor_squares: Tensor) -> Tensor:
    """L_len: mean of (|a_w| - 1)^2. anchor_squares |a_w|^2 [E, m] -> [E]."""
    return (anchor_squares.sqrt() - 1.0).square().mean(1)


def sym_nce(representations: Tensor, tau: float) -> Tensor:
    """L_symNCE over cosines of relative representations, averaged over all pairs of encoders.

    Args:
        representations: [E, B, m], rows parallel.
        tau: temperature.

    Returns:
        A scalar; 0 for one encoder (Eq. 3 with B = 1).
    """
    pairs = torch.tensor(list(combinations(range(len(representations)), 2)), device=representations.device)
    if len(pairs) == 0:
        return representations.new_zeros(())
    units = F.normalize(representations, dim=2) / tau**0.5
    first, second = (units.index_select(0, side) for side in pairs.T)
    matching: Tensor = (first * second).sum(2).mean()
    return _log_sum_exp_both_ways(first, second, 1.0 / tau) - matching


def _log_sum_exp_both_ways(first: Tensor, second: Tensor, bound: float) -> Tensor:
    """Half the mean log-sum-exp of rows plus half that of columns of the logits first second^T, all +-bound.

    One exp serves both directions, shifted by the largest value that a logit can have; where the range of
    logits is too wide for that in float32, each row and each column is shifted by its own maximum.

    Args:
        first: [pairs, B, m].
        second: [pairs, B, m].
        bound: no logit is larger than this.
    """
    if bound > ONE_SHIFT_BOUND:
        logits = torch.bmm(first, second.mT)
        return 0.5 * (logits.logsumexp(2) + logits.logsumexp(1)).mean()
    e = torch.baddbmm(first.new_tensor(-bound), first, second.mT).exp_()
    both: Tensor = e.sum(2).log() + e.sum(1).log()
    return 0.5 * both.mean() + bound
