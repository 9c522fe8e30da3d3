"""The losses of `losses.py` for all encoders at once, with gradients by hand: fewer passes over memory.

P's rows sum to one, so whitening commutes with mixing, L (P X - mu) = P L (X - mu): the whitened anchors are
A_w = P S_w, and relative representations, distances, lengths and angles all come from the products
x_w A_w^T [B, m] and A_w A_w^T [m, m]. The leading dimension E runs over encoders.

A loss is a number, so what ends in a sum (coverage, symNCE) finds its gradient, but for a factor, on the way
forward, while its terms are still in the cache; backward only scales it. Nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function

Precision = Literal["float32", "bf16", "tf32"]

WITHOUT_SHIFT = 40.0  # exp(40) times any number of rows is a float32, and exp(-40) a normal one
SMALLEST = 1e-12  # length below which a row is not made longer, as in torch.nn.functional.normalize
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}  # as /proc/cpuinfo names them on x86-64 and on ARM


@cache
def cpu_has_bf16() -> bool:
    """Tell whether this processor multiplies bfloat16 matrices by instructions of its own."""
    try:
        return bool(_INSTRUCTIONS & set(Path("/proc/cpuinfo").read_text().split()))
    except OSError:
        return False


@dataclass(frozen=True)
class Products:
    """Matrix products of one precision: operands and results rounded to it, sums within in float32.

    A product of two bfloat16 numbers is exact in float32. A processor without bfloat16 instructions therefore
    gives the same numbers by rounding the operands and the result of a float32 product: as slow as that one,
    so that `bf16` can be tried anywhere and pays only where the instructions are. `tf32` is the float32 of a
    GPU's matrix units, with 10 bits of mantissa; elsewhere products are float32's.

    Attributes:
        precision: of operands and results.
    """

    precision: Precision = "float32"

    def emulated(self, device: torch.device) -> bool:
        """Tell whether a device has to round float32 numbers, for want of bfloat16 instructions."""
        return self.precision == "bf16" and device.type != "cuda" and not cpu_has_bf16()

    def operand(self, x: Tensor) -> Tensor:
        """Round x as products take it; what takes part in many is made once."""
        if self.precision != "bf16" or x.dtype == torch.bfloat16:
            return x
        low = x.to(torch.bfloat16)
        return low.to(x.dtype) if self.emulated(x.device) else low

    def product(self, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
        """Multiply, A B in the operands' dtype, in float32 where they are bfloat16; not differentiated.

        Args:
            a: [n, k]; it is made an operand here.
            b: [k, m], an operand already, as what takes part in many products is.
            out: where the result goes, [n, m].
        """
        if self.precision != "bf16":
            return torch.mm(a, b, out=out)
        rounded = (self.operand(a) @ b).to(torch.bfloat16)
        if out is not None:
            return out.copy_(rounded)
        return rounded.to(torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32))

    def add_product(self, total: Tensor, a: Tensor, b: Tensor) -> None:
        """Add A B to total [n, m], as in `product`. a [n, k], b [k, m]."""
        if self.precision != "bf16":
            total.addmm_(a, b)
        else:
            total.add_(self.product(a, b))

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Make a GPU take float32 products in TF32 if told so, and sum bf16's in float32, in the block."""
        if self.precision == "float32" or device.type != "cuda":
            yield
            return
        matmul = torch.backends.cuda.matmul
        before = torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
        if self.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        matmul.allow_bf16_reduced_precision_reduction = False
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            matmul.allow_bf16_reduced_precision_reduction = before[1]


class Mix(Function):
    """P S, the whitened anchors of all encoders side by side (Eq. 2), with a gradient for P alone.

    p [m, K], support [K, D] as an operand of the products -> [m, D].
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor, support: Tensor, products: Products) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(support)
        ctx.products = products
        return products.product(p, support)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Multiply G S^T."""
        (support,) = ctx.saved_tensors
        return ctx.products.product(gradient, support.T), None, None


class Compare(Function):
    """All that the losses know of samples and anchors, with a gradient for the anchors alone.

    x, whitened samples of all encoders side by side [B, sum d], an operand of the products; anchors, whitened
    [m, sum d]; dims, d of each encoder -> x_w A_w^T [E, B, m] and A_w A_w^T [E, m, m].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, anchors: Tensor, dims: tuple[int, ...], products: Products
    ) -> tuple[Tensor, Tensor]:
        """Multiply, encoder by encoder."""
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
        """Let A A^T, which is symmetric, have its gradient G enter as (G + G^T) A: one product, not two."""
        x, operand = ctx.saved_tensors
        found = gram.new_empty(operand.shape)
        both_ways = gram + gram.mT
        parts = zip(*(t.split(ctx.dims, dim=1) for t in (x, operand, found)), strict=True)
        for number, (samples, own, out) in enumerate(parts):
            ctx.products.product(across[number].T, samples, out=out)
            ctx.products.add_product(out, both_ways[number], own)
        return None, found, None, None


class _Excess(Function):
    """sum_x sum_r q_r(x) e_r(x), with e_r = |a_r|^2 - 2 x a_r = |x - a_r|^2 - |x|^2, q = softmax(-e / tau).

    |x|^2 is common to all r and drops out of q. across x_w A_w^T [E, B, m], squares |a_w|^2 [E, m] -> [E].
    With s = -e / tau and s' = sum_r q_r s_r it is -tau s' for each x, whose derivative by e_r is
    q_r (1 + s_r - s').
    """

    @staticmethod
    def forward(ctx: Any, across: Tensor, squares: Tensor, tau: float, chunk: int) -> Tensor:
        by_excess = torch.empty_like(across)
        by_square = torch.zeros_like(squares)
        total = across.new_zeros(len(across))
        offset = squares[:, None] / -tau
        for rows, out in zip(across.split(chunk, 1), by_excess.split(chunk, 1), strict=True):
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


class _SymNce(Function):
    """Symmetric InfoNCE of all pairs of encoders, averaged; x [E, B, m] -> a scalar.

    Rows are brought to length tau^(-1/2), so that products of two are the logits, none larger than 1 / tau.
    Half the log-sum-exp along each row and column of the logits, less the diagonal; its gradient by the
    logits is half of both softmaxes, less one on the diagonal.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float, products: Products) -> Tensor:
        wanted = tau**-0.5
        scale = wanted / x.norm(dim=-1, keepdim=True).clamp_min(SMALLEST)
        rows = x * scale
        pairs = list(combinations(range(len(rows)), 2))
        by_rows = rows - rows.sum(0)  # less all partners
        loss = 0.5 * (by_rows * rows).sum()  # less the diagonals, each pair once
        operand = products.operand(rows)
        for first, second in pairs:
            logits = products.product(operand[first], operand[second].T).to(rows.dtype)
            if 1.0 / tau > WITHOUT_SHIFT:  # exp would overflow: each line is shifted by its own maximum
                across, down = logits.logsumexp(1), logits.logsumexp(0)
                weights = (logits - across[:, None]).exp_().add_((logits - down).exp_()).mul_(0.5)
            else:  # one exp serves both directions
                e = logits.exp_()
                below, beside = e.sum(0), e.sum(1)
                across, down = beside.log(), below.log()
                weights = e.mul_(torch.add((0.5 / beside)[:, None], 0.5 / below))
            loss += 0.5 * (across.sum() + down.sum())
            weights = products.operand(weights)
            products.add_product(by_rows[first], weights, operand[second])
            products.add_product(by_rows[second], weights.T, operand[first])
        ctx.save_for_backward(by_rows, rows, scale)
        ctx.wanted, ctx.counted = wanted, len(pairs) * rows.shape[1]
        mean: Tensor = loss / ctx.counted
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        by_rows, rows, scale = ctx.saved_tensors
        found = by_rows * (gradient / ctx.counted)
        along = (found * rows).sum(-1, keepdim=True)  # a row cannot become longer
        return torch.addcmul(found, rows, along, value=-(ctx.wanted**-2)).mul_(scale), None, None


def coverage(
    across: Tensor, x_squares: Tensor, anchor_squares: Tensor, dims: Tensor, tau: float, chunk: int
) -> Tensor:
    """Measure L_cov, the soft k-means distortion in whitened space over d.

    Args:
        across: x_w A_w^T, [E, B, m].
        x_squares: |x_w|^2, [E, B].
        anchor_squares: |a_w|^2, [E, m].
        dims: d of each encoder, [E].
        tau: temperature of the soft assignment.
        chunk: samples whose [E, chunk, m] assignments are held at once.

    Returns:
        One loss per encoder, [E].
    """
    excess: Tensor = _Excess.apply(across, anchor_squares, tau, chunk)
    return (x_squares.sum(1) + excess) / (dims * across.shape[1])


def orthogonality(gram: Tensor) -> Tensor:
    """Measure L_orth, the mean squared cosine of distinct anchors; 0 for one. A_w A_w^T [E, m, m] -> [E]."""
    m = gram.shape[1]
    squares = gram.diagonal(dim1=1, dim2=2)
    cosines_squared = gram.square() / (squares[:, :, None] * squares[:, None, :])
    mean: Tensor = (cosines_squared.sum((1, 2)) - m) / max(m * (m - 1), 1)
    return mean


def length(anchor_squares: Tensor) -> Tensor:
    """Measure L_len, the mean of (|a_w| - 1)^2. anchor_squares |a_w|^2 [E, m] -> [E]."""
    return (anchor_squares.sqrt() - 1.0).square().mean(1)


def sym_nce(representations: Tensor, tau: float, products: Products) -> Tensor:
    """Measure L_symNCE over cosines of relative representations, averaged over all pairs of encoders.

    Args:
        representations: [E, B, m], rows parallel.
        tau: temperature.
        products: precision of the logits.

    Returns:
        A scalar; 0 for one encoder (Eq. 3 with B = 1).
    """
    if len(representations) == 1:
        return representations.new_zeros(())
    loss: Tensor = _SymNce.apply(representations, tau, products)
    return loss
