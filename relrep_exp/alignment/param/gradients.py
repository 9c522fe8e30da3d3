"""Parts of PARAM's objective with their gradients by hand: fewer passes over memory, fewer operations.

What ends in a sum (`excess`, `info_nce`) finds its gradient on the way forward, in buffers that are still in
the cache, and backward only scales it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from relrep_exp.alignment.products import FULL, Products
from relrep_exp.training.share import Share

WITHOUT_SHIFT = 40.0  # exp(40) times any number of rows is a float32, and exp(-40) a normal one
SMALLEST = 1e-12  # length below which a row is not made longer, as in torch.nn.functional.normalize


def mix(p: Tensor, support: Tensor, products: Products = FULL) -> Tensor:
    """The anchors P S (Eq. 2), with a gradient for P alone.

    Args:
        p: P, [m, K].
        support: S, [K, D], as an operand of `products`.
        products: their precision.

    Returns:
        [m, D].
    """
    mixed: Tensor = _Mixed.apply(p, support, products)
    return mixed


def compare(
    x: Tensor, anchors: Tensor, dims: Sequence[int], products: Products = FULL
) -> tuple[Tensor, Tensor]:
    """All that the losses know of samples and anchors, with a gradient for the anchors alone.

    Args:
        x: whitened samples of all encoders side by side, [B, sum d], as an operand of `products`.
        anchors: whitened anchors, [m, sum d].
        dims: d of each encoder.
        products: their precision.

    Returns:
        x_w A_w^T [E, B, m] and A_w A_w^T [E, m, m].
    """
    pair: tuple[Tensor, Tensor] = _Compared.apply(x, anchors, tuple(dims), products)
    return pair


def excess(products: Tensor, anchor_squares: Tensor, tau: float, chunk: int) -> Tensor:
    """sum_x sum_r q_r(x) e_r(x), with e_r = |a_r|^2 - 2 x a_r = |x - a_r|^2 - |x|^2, q = softmax(-e / tau).

    Args:
        products: x_w A_w^T, [E, B, m].
        anchor_squares: |a_w|^2, [E, m].
        tau: temperature; |x|^2 is common to all r and drops out of q.
        chunk: samples whose assignments q are held at once.

    Returns:
        [E].
    """
    total: Tensor = _Excess.apply(products, anchor_squares, tau, chunk)
    return total


def units(x: Tensor, length: float) -> Tensor:
    """Rows of one length. x [..., m] -> length x / |x|."""
    scaled: Tensor = _Units.apply(x, length)
    return scaled


def info_nce(own: Tensor, everyone: Tensor, bound: float, share: Share, products: Products) -> Tensor:
    """Symmetric InfoNCE of all pairs of encoders, averaged.

    The gradients of `own` and of `everyone` are kept apart where `Share.whole` is between them; for a process
    that is alone they are the same rows, and the whole gradient is that of `own`.

    Args:
        own: rows of this process, of length sqrt(bound), [E, B_r, m].
        everyone: rows of all processes, [E, B, m].
        bound: no logit is larger than this.
        share: which of the batch the own rows are.
        products: precision of the logits.

    Returns:
        A scalar, this process's share.
    """
    loss: Tensor = _InfoNce.apply(own, everyone, bound, share, products)
    return loss


class _Mixed(Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, support: Tensor, products: Products) -> Tensor:
        ctx.save_for_backward(support)
        ctx.products = products
        return products.product(p, support)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (support,) = ctx.saved_tensors
        return ctx.products.product(gradient, support.T), None, None


class _Compared(Function):
    """A A^T is symmetric, so its gradient G enters as (G + G^T) A: one product, not two."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, anchors: Tensor, dims: tuple[int, ...], products: Products
    ) -> tuple[Tensor, Tensor]:
        m = len(anchors)
        operand = products.operand(anchors)
        across = anchors.new_empty(len(dims), len(x), m)
        gram = anchors.new_empty(len(dims), m, m)
        parts = zip(x.split(dims, dim=1), operand.split(dims, dim=1), strict=True)
        for number, (samples, own) in enumerate(parts):
            products.product(samples, own.T, out=across[number])
            products.product(own, own.T, out=gram[number])
        ctx.save_for_backward(x, operand)
        ctx.dims, ctx.products = dims, products
        return across, gram

    @staticmethod
    def backward(ctx: Any, across: Tensor, gram: Tensor) -> tuple[None, Tensor, None, None]:
        x, operand = ctx.saved_tensors
        found = gram.new_empty(operand.shape)
        both_ways = gram + gram.mT
        parts = zip(*(t.split(ctx.dims, dim=1) for t in (x, operand, found)), strict=True)
        for number, (samples, own, out) in enumerate(parts):
            ctx.products.product(across[number].T, samples, out=out)
            ctx.products.add_product(out, both_ways[number], own)
        return None, found, None, None


class _Excess(Function):
    """With s = -e / tau, s' = sum_r q_r s_r: -tau s' for each x, by e_r differentiated q_r (1 + s_r - s')."""

    @staticmethod
    def forward(ctx: Any, products: Tensor, anchor_squares: Tensor, tau: float, chunk: int) -> Tensor:
        by_excess = torch.empty_like(products)
        by_square = torch.zeros_like(anchor_squares)
        total = products.new_zeros(len(products))
        offset = anchor_squares[:, None] / -tau
        for rows, out in zip(products.split(chunk, 1), by_excess.split(chunk, 1), strict=True):
            s = torch.add(offset, rows, alpha=2.0 / tau)
            q = torch.softmax(s, dim=2)
            torch.mul(q, s, out=s)
            mean = s.sum(2, keepdim=True)
            torch.addcmul(s, q, 1.0 - mean, out=out)
            by_square += out.sum(1)
            total -= tau * mean.sum((1, 2))
        ctx.save_for_backward(by_excess, by_square)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_excess, by_square = ctx.saved_tensors
        scale = gradient[:, None, None]
        return by_excess * (-2.0 * scale), by_square * scale[..., 0], None, None


class _Units(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, c: float) -> Tensor:
        scale = c / x.norm(dim=-1, keepdim=True).clamp_min(SMALLEST)
        scaled: Tensor = x * scale
        ctx.save_for_backward(scaled, scale)
        ctx.c = c
        return scaled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scaled, scale = ctx.saved_tensors
        along = (gradient * scaled).sum(-1, keepdim=True)
        across = torch.addcmul(gradient, scaled, along, value=-(ctx.c**-2))
        return across.mul_(scale), None


class _InfoNce(Function):
    """Half the log-sum-exp along each row and column, less the diagonal; half of both softmaxes, less one."""

    @staticmethod
    def forward(
        ctx: Any, own: Tensor, everyone: Tensor, bound: float, share: Share, products: Products
    ) -> Tensor:
        pairs, alone = list(combinations(range(len(own)), 2)), share.size == 1
        by_own = own - own.sum(0)  # less all partners
        by_everyone = by_own if alone else torch.zeros_like(everyone)
        loss = 0.5 * (by_own * own).sum()  # less the diagonals, each pair once
        mine = products.operand(own)
        all_rows = mine if alone else products.operand(everyone)
        for first, second in pairs:
            logits = products.product(mine[first], all_rows[second].T).to(own.dtype)
            sums, weights = _both_ways(logits, bound, share)
            loss += sums
            weights = products.operand(weights)
            products.add_product(by_own[first], weights, all_rows[second])
            products.add_product(by_everyone[second], weights.T, mine[first])
        ctx.save_for_backward(by_own, None if alone else by_everyone)
        ctx.counted = len(pairs) * everyone.shape[1]
        mean: Tensor = loss / ctx.counted
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        by_own, by_everyone = ctx.saved_tensors
        scale = gradient / ctx.counted
        return by_own * scale, None if by_everyone is None else by_everyone * scale, None, None, None


def _both_ways(logits: Tensor, bound: float, share: Share) -> tuple[Tensor, Tensor]:
    """Half the log-sum-exp of rows and columns, summed over this process's, and its gradient by the logits.

    One exp serves both directions where no logit, all +-bound, is too large for it in float32. Else each row
    and each column is shifted by its own maximum.

    Args:
        logits: [B_r, B]; overwritten.
        bound: no logit is larger than this.
        share: which of the batch the rows are.
    """
    if bound > WITHOUT_SHIFT:
        rows = logits.logsumexp(1)
        columns = share.whole(logits.logsumexp(0)[None], share.size).logsumexp(0)
        weights = (logits - rows[:, None]).exp_().add_((logits - columns).exp_()).mul_(0.5)
    else:
        e = logits.exp_()
        down = share.total(e.sum(0))
        across = e.sum(1)
        rows, columns = across.log(), down.log()
        weights = e.mul_(torch.add((0.5 / across)[:, None], 0.5 / down))
    return 0.5 * (rows.sum() + share.of(columns).sum()), weights
