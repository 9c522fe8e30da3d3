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


def coverage(
    products: Tensor, x_squares: Tensor, anchor_squares: Tensor, dim: int, tau: float, chunk: int
) -> Tensor:
    """L_cov: soft k-means distortion in whitened space, over d.

    Args:
        products: x_w A_w^T, [B, m].
        x_squares: |x_w|^2, [B].
        anchor_squares: |a_w|^2, [m].
        dim: d.
        tau: temperature of the soft assignment.
        chunk: rows whose [chunk, m] assignments are held at once, forward and backward.

    Returns:
        A scalar.
    """
    if len(products) <= chunk:
        excess = _excess(products, anchor_squares, tau)
    else:
        rows = torch.split(products, chunk)
        parts = [checkpoint(_excess, part, anchor_squares, tau, use_reentrant=False) for part in rows]
        excess = torch.stack(parts).sum()
    return (x_squares.sum() + excess) / (dim * len(products))


def _excess(products: Tensor, anchor_squares: Tensor, tau: float) -> Tensor:
    """sum_x sum_r q_r(x) (|x - a_r|^2 - |x|^2); |x|^2 is common to all r and drops out of q."""
    excess = anchor_squares - 2.0 * products
    weighted: Tensor = torch.softmax(excess / -tau, dim=1) * excess
    return weighted.sum()


def orthogonality(units: Tensor) -> Tensor:
    """L_orth: mean squared cosine over distinct pairs of unit whitened anchors [m, d]; 0 for one anchor.

    (|G|_F^2 - m) / (m (m - 1)), with |G|_F^2 taken from the smaller of the two Gram matrices.
    """
    m, d = units.shape
    gram = units.T @ units if d < m else units @ units.T
    excess: Tensor = gram.square().sum() - m
    mean: Tensor = excess / max(m * (m - 1), 1)
    return mean


def length(norms: Tensor) -> Tensor:
    """L_len: mean of (|a_w| - 1)^2 over the norms of whitened anchors, [m]."""
    return (norms - 1.0).square().mean()


def sym_nce(representations: Sequence[Tensor], tau: float) -> Tensor:
    """L_symNCE over cosines of relative representations, averaged over all pairs of encoders.

    Args:
        representations: one [B, m] for each encoder, rows parallel.
        tau: temperature.

    Returns:
        A scalar; 0 for one encoder (Eq. 3 with B = 1).
    """
    if len(representations) < 2:
        return representations[0].new_zeros(())
    units = [F.normalize(r, dim=1) / tau**0.5 for r in representations]
    return torch.stack([_pair_nce(a, b, 1.0 / tau) for a, b in combinations(units, 2)]).mean()


def _pair_nce(first: Tensor, second: Tensor, bound: float) -> Tensor:
    """L_symNCE of one pair, rows scaled so that their products are the logits, all within +-bound."""
    matching = (first * second).sum(1).mean()
    return _log_sum_exp_both_ways(first @ second.T, bound) - matching


def _log_sum_exp_both_ways(logits: Tensor, bound: float) -> Tensor:
    """Half the mean log-sum-exp of rows plus half that of columns, of logits [B, B] in [-bound, bound].

    One exp serves both directions, shifted by the largest value that a logit can have; where the range of
    logits is too wide for that in float32, each row and each column is shifted by its own maximum.
    """
    if bound > ONE_SHIFT_BOUND:
        return 0.5 * (logits.logsumexp(1) + logits.logsumexp(0)).mean()
    e = (logits - bound).exp()
    return 0.5 * (e.sum(1).log() + e.sum(0).log()).mean() + bound
