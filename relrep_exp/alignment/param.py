"""PARAM's losses (Appendix A), for all training encoders at once.

P's rows sum to one, so whitening commutes with mixing, L (P X - mu) = P L (X - mu): the whitened anchors are
A_w = P S_w, and relative representations, distances, lengths and angles all come from the products
x_w A_w^T [B, m] and A_w A_w^T [m, m]. The leading dimension E runs over encoders.

Where several processes share a batch (`Share`), the losses over samples take the rows of this process and
give its share of the batch's loss; the shares add up to it. Coverage is a mean over samples, so a share is
the sum over its own, divided by the number of all. symNCE compares every row with all rows of the other
encoder: the normalised rows of all are gathered, each process has the logits of its rows with all, and the
sums down the columns are totalled.
"""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from relrep_exp.alignment.share import ALONE, Share

ONE_SHIFT_BOUND = 40.0  # exp(-2 * 40) is still a normal float32


def mixture(logits: Tensor, temperature: float) -> Tensor:
    """P = softmax(logits / T) row by row (Appendix D). logits [m, K] -> row-stochastic [m, K]."""
    return torch.softmax(logits / temperature, dim=1)


def coverage(
    products: Tensor,
    x_squares: Tensor,
    anchor_squares: Tensor,
    dims: Tensor,
    tau: float,
    chunk: int,
    batch: int | None = None,
) -> Tensor:
    """L_cov: soft k-means distortion in whitened space, over d.

    Args:
        products: x_w A_w^T, [E, B, m].
        x_squares: |x_w|^2, [E, B].
        anchor_squares: |a_w|^2, [E, m].
        dims: d of each encoder, [E].
        tau: temperature of the soft assignment.
        chunk: samples whose [E, chunk, m] assignments are held at once, forward and backward.
        batch: how many samples the mean is over, where these are a share of them; else B.

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
    return (x_squares.sum(1) + excess) / (dims * (samples if batch is None else batch))


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


def sym_nce(representations: Tensor, tau: float, share: Share = ALONE, batch: int | None = None) -> Tensor:
    """L_symNCE over cosines of relative representations, averaged over all pairs of encoders.

    Args:
        representations: [E, B, m], rows parallel.
        tau: temperature.
        share: which rows of the batch these are.
        batch: how many rows the batch has, where these are a share of them; else B.

    Returns:
        A scalar, this process's share; 0 for one encoder (Eq. 3 with B = 1).
    """
    pairs = torch.tensor(list(combinations(range(len(representations)), 2)), device=representations.device)
    if len(pairs) == 0:
        return representations.new_zeros(())
    own = F.normalize(representations, dim=2) / tau**0.5
    everyone = share.whole(own, own.shape[1] if batch is None else batch, dim=1)
    first, second = pairs.T
    rows, matches, columns = (
        units.index_select(0, side) for units, side in ((own, first), (own, second), (everyone, second))
    )
    counted = len(pairs) * columns.shape[1]
    matching: Tensor = (rows * matches).sum() / counted
    both, shift = _log_sum_exp_both_ways(rows, columns, 1.0 / tau, share)
    return 0.5 * both.sum() / counted + shift * (rows.shape[1] / columns.shape[1]) - matching


def _log_sum_exp_both_ways(rows: Tensor, columns: Tensor, bound: float, share: Share) -> tuple[Tensor, float]:
    """Log-sum-exp along each row plus that along each column of the logits, all +-bound, less twice a shift.

    One exp serves both directions, shifted by the largest value that a logit can have; where the range of
    logits is too wide for that in float32, each row and each column is shifted by its own maximum.

    Args:
        rows: of the one encoder, this process's, [pairs, B_r, m].
        columns: of the other encoder, all, [pairs, B, m].
        bound: no logit is larger than this.
        share: which of the batch `rows` are.

    Returns:
        The sums for the rows of this process, [pairs, B_r], and the shift.
    """
    if bound > ONE_SHIFT_BOUND:
        logits = torch.bmm(rows, columns.mT)
        parts = share.whole(logits.logsumexp(1)[None], share.size)
        return logits.logsumexp(2) + share.of(parts.logsumexp(0), dim=1), 0.0
    e = torch.baddbmm(rows.new_tensor(-bound), rows, columns.mT).exp_()
    down = share.total(e.sum(1))
    return e.sum(2).log() + share.of(down, dim=1).log(), bound
