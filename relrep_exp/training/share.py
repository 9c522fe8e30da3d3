"""What one process computes of a loss that several compute together, and how their parts become one.

Every process holds the same parameter and computes a share L_r of the loss, the shares adding up to L.
`total` is differentiable: y = sum_r x_r arrives at every process, and so does its gradient, dL/dx_r =
sum_s dL_s/dy. A backward pass on all processes at once is thus that of sum_s L_s = L: what each finds for its
own copy of the parameter adds up, over the processes, to the gradient of L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class Share:
    """The part of one process; the default is that of a process which is alone: all of it.

    Attributes:
        rank: its number, 0 <= rank < size.
        size: how many processes share the work.
    """

    rank: int = 0
    size: int = 1

    def of(self, x: Tensor, dim: int = 0) -> Tensor:
        """This process's slice of x along a dimension; slices differ by one at most and may be empty."""
        return x.tensor_split(self.size, dim)[self.rank]

    def total(self, x: Tensor) -> Tensor:
        """The sum of x over the processes, with its gradient."""
        if self.size == 1:
            return x
        summed: Tensor = _Total.apply(x)
        return summed

    def whole(self, part: Tensor, length: int, dim: int = 0) -> Tensor:
        """The slices of all processes in one, `length` long, with its gradient; `of` undoes it."""
        if self.size == 1:
            return part
        sizes = [length // self.size + (rank < length % self.size) for rank in range(self.size)]
        before, after = sum(sizes[: self.rank]), sum(sizes[self.rank + 1 :])
        return self.total(F.pad(part, [0, 0] * (part.ndim - 1 - dim) + [before, after]))


ALONE = Share()


class _Total(Function):
    """The sum over processes, of values and of gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(x: Tensor) -> Tensor:
    summed = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(summed)
    return summed
