"""Standardise what a map makes of an encoder, by that encoder's own unlabelled rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

Standardise = Literal["none", "mean", "mean_variance"]


@dataclass(frozen=True)
class Standard:
    """Take away the mean and divide by the standard deviation of each feature.

    Attributes:
        mean: [k].
        std: [k]; 1 for what is constant, or where the mean alone is taken away.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def fit(cls, blocks: Iterable[Tensor], how: Standardise) -> Self:
        """Estimate both from all rows of some blocks [n, k], in float64; cast to the dtype of the rows."""
        count, mean, scatter, like = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
        for block in blocks:
            like, rows, n = block, block.double(), len(block)
            apart = rows.mean(0) - mean.to(rows)
            mean = mean.to(rows) + apart * (n / (count + n))
            # Chan, Golub and LeVeque 1979: nothing cancels where the mean is large
            scatter = scatter.to(rows) + (rows - rows.mean(0)).square().sum(0)
            scatter += apart.square() * (count * n / (count + n))
            count += n
        std = (scatter / max(1, count - 1)).sqrt()
        # what varies by no more than the rounding of its mean is constant
        constant = std <= 10 * torch.finfo(like.dtype).eps * mean.abs()
        std = torch.where(constant | (how == "mean"), torch.ones_like(std), std)
        return cls(mean.to(like.dtype), std.to(like.dtype))

    def __call__(self, y: Tensor) -> Tensor:
        """Standardise y [N, k]."""
        return (y - self.mean) / self.std
