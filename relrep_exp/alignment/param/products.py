"""Matrix products in a chosen precision: operands and results rounded to it, sums within in float32.

A product of two bfloat16 numbers is exact in float32. A processor without bfloat16 instructions therefore
gives the same numbers by rounding the operands and the result of a float32 product: as slow as that one, so
that `bf16` can be tried anywhere and pays only where the instructions are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bf16", "tf32"]

_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}  # as /proc/cpuinfo names them on x86-64 and on ARM


@cache
def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices by instructions of its own."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(words & _INSTRUCTIONS)


@dataclass(frozen=True)
class Products:
    """Products of one precision.

    `tf32` is the float32 of a GPU's matrix units, with 10 bits of mantissa; elsewhere products are float32's.

    Attributes:
        precision: of operands and results.
    """

    precision: Precision = "float32"

    @property
    def exact(self) -> bool:
        """Whether operands are used as they are."""
        return self.precision != "bf16"

    def emulated(self, device: torch.device) -> bool:
        """Whether a device has to round float32 numbers, for want of bfloat16 instructions."""
        return self.precision == "bf16" and device.type != "cuda" and not cpu_has_bf16()

    def operand(self, x: Tensor) -> Tensor:
        """x as products take it; what takes part in many is made once."""
        if self.exact or x.dtype == torch.bfloat16:
            return x
        low = x.to(torch.bfloat16)
        return low.to(x.dtype) if self.emulated(x.device) else low

    def product(self, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
        """A B in the operands' dtype, in float32 where they are bfloat16; not differentiated.

        Args:
            a: [n, k]; it is made an operand here.
            b: [k, m], an operand already, as what takes part in many products is.
            out: where the result goes, [n, m].
        """
        if self.exact:
            return torch.mm(a, b, out=out) if out is not None else a @ b
        low = self.operand(a) @ b
        rounded = low.to(torch.bfloat16)
        if out is not None:
            return out.copy_(rounded)
        return rounded.to(_wide(a, b))

    def add_product(self, total: Tensor, a: Tensor, b: Tensor) -> None:
        """total += A B, as in `product`. total [n, m], a [n, k], b [k, m]."""
        if self.exact:
            total.addmm_(a, b)
        else:
            total.add_(self.product(a, b))

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """During the block, a GPU takes float32 products in TF32 if told so, and sums bf16's in float32."""
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


def _wide(a: Tensor, b: Tensor) -> torch.dtype:
    """The wider of two operands' types, float32 at least."""
    return torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)


FULL = Products()
