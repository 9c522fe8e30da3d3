"""PARAM's losses (Appendix A), for all training encoders at once.

P's rows sum to one, so whitening commutes with mixing, L (P X - mu) = P L (X - mu): the whitened anchors are
A_w = P S_w, and relative representations, distances, lengths and angles all come from the products
x_w A_w^T [B, m] and A_w A_w^T [m, m]. The leading dimension E runs over encoders.

What is large is differentiated by hand in `param_gradients.py`: a loss is a number, so its gradient is known,
but for a factor, while its terms are still in the cache.

Where several processes share a batch (`Share`), the losses over samples take the rows of this process and
give its share of the batch's loss; the shares add up to it. Coverage is a mean over samples, so a share is
the sum over its own, divided by the number of all. symNCE compares every row with all rows of the other
encoder: the normalised rows of all are gathered, each process has the logits of its rows with all, and the
sums down the columns are totalled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relrep_exp.alignment.param.gradients import excess, info_nce, units
from relrep_exp.alignment.products import FULL, Products
from relrep_exp.training.share import ALONE, Share


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
        chunk: samples whose [E, chunk, m] assignments are held at once.
        batch: how many samples the mean is over, where these are a share of them; else B.

    Returns:
        One loss per encoder, [E].
    """
    beyond = excess(products, anchor_squares, tau, chunk)
    return (x_squares.sum(1) + beyond) / (dims * (products.shape[1] if batch is None else batch))


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


def sym_nce(
    representations: Tensor,
    tau: float,
    share: Share = ALONE,
    batch: int | None = None,
    products: Products = FULL,
) -> Tensor:
    """L_symNCE over cosines of relative representations, averaged over all pairs of encoders.

    Args:
        representations: [E, B, m], rows parallel.
        tau: temperature.
        share: which rows of the batch these are.
        batch: how many rows the batch has, where these are a share of them; else B.
        products: precision of the logits.

    Returns:
        A scalar, this process's share; 0 for one encoder (Eq. 3 with B = 1).
    """
    if len(representations) == 1:
        return representations.new_zeros(())
    own = units(representations, tau**-0.5)
    everyone = share.whole(own, own.shape[1] if batch is None else batch, dim=1)
    return info_nce(own, everyone, 1.0 / tau, share, products)
