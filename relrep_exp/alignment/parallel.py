"""Parallel anchors of two spaces: checks, scaling by their statistics, sums of products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Preprocessing = Literal["standard", "center", "l2", "none"]
BLOCK_ROWS = 8192
SMALLEST = 1e-12  # norms below it count as this, as in torch's `normalize`


class AnchorsError(ValueError):
    """Nothing can be estimated on these anchors."""


@dataclass(frozen=True)
class Scaler:
    """x -> (x - mean) gain by the anchors' statistics, of rows brought to norm 1 where `length` is given.

    A feature that does not vary among the anchors says nothing about the others: it is read as 0, and written
    as its mean.

    Attributes:
        mean: [d].
        gain: one over the standard deviation or 1; 0 for constant features, [d].
        length: mean norm of the anchors, which l2 takes away and the inverse gives back; None otherwise.
    """

    mean: Tensor
    gain: Tensor
    length: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Scale x, [N, d]."""
        return ((x if self.length is None else F.normalize(x, dim=1)) - self.mean) * self.gain

    def slope(self) -> Tensor:
        """Give what the inverse multiplies by, [d]; norms that l2 took away become the anchors' mean norm."""
        return torch.where(self.gain > 0, 1 / self.gain, 1.0) * (self.length or 1.0)

    def level(self) -> Tensor:
        """Give what the inverse adds then, [d]."""
        return self.mean * (self.length or 1.0)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Give the tensors that a file of a map holds, by names that begin with `name`."""
        length = torch.tensor(torch.nan if self.length is None else self.length, dtype=torch.float64)
        return {f"{name}.mean": self.mean, f"{name}.gain": self.gain, f"{name}.length": length}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], name: str) -> Self:
        """Make a scaler again of what such a file holds."""
        length = float(tensors[f"{name}.length"])
        kept = None if math.isnan(length) else length
        return cls(tensors[f"{name}.mean"], tensors[f"{name}.gain"], kept)


@dataclass(frozen=True)
class Parallel:
    """n parallel anchors of two spaces, and how each is scaled.

    Attributes:
        x: anchors of the first space, not scaled yet but for norms of 1 with l2, [n, d1].
        y: of the second, [n, d2].
        before: scales the first.
        after: scales the second.
        tolerance: singular values below this share of the largest are rounding noise. Float32 embeddings stay
            float32 numbers, whatever they are computed with: directions that their own rounding makes up,
            as behind a LayerNorm, would be blown up by an inverse.
        xx: scaled x^T x, [d1, d1], where n >= d1.
        xy: scaled x^T y, [d1, d2], where n is not below both d1 and d2.
        centred: whether the scalings take the anchors' means away.
    """

    x: Tensor
    y: Tensor
    before: Scaler
    after: Scaler
    tolerance: float
    xx: Tensor | None = None
    xy: Tensor | None = None
    centred: bool = False

    @classmethod
    def of(
        cls,
        x: Tensor,
        y: Tensor,
        scaling: Preprocessing,
        *,
        exact: bool = True,
        centre: bool = False,
        tolerance: float = 0.0,
    ) -> Self:
        """Scale x [n, d1] and y [n, d2].

        Args:
            x: anchors of the first space.
            y: the same samples' anchors of the second.
            scaling: of both.
            exact: products in float64; or, several times faster, in blocks of float32 added in float64.
            centre: also where the scaling does not.
            tolerance: of singular values, if it is above that of the dtypes.

        Raises:
            AnchorsError: fewer than two, another number in y, not finite, or all the same.
            ValueError: no such scaling.
        """
        if scaling not in get_args(Preprocessing):
            raise ValueError(f"no scaling {scaling!r}; there are {', '.join(get_args(Preprocessing))}")
        check_anchors(x, y)
        tolerance = max(tolerance, rounding_share(x, y))
        lengths: list[float | None] = [None, None]
        if scaling == "l2":
            lengths = [float(z.double().norm(dim=1).mean()) for z in (x, y)]
            x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
        means, stds, xx, xy = _sums(x, y, torch.float64 if exact else torch.float32)
        before, after = (
            _scaler(scaling, centre, mean, std, eps, length)
            for mean, std, eps, length in zip(means, stds, _eps(x, y), lengths, strict=True)
        )
        for name, end in (("first", before), ("second", after)):
            if not bool(end.gain.any()):
                raise AnchorsError(f"all anchors of the {name} space are equal but for rounding")
        # sums of products of centred anchors; those that the scaling does not centre get their means back
        left_x, left_y = (means[0] - before.mean) * before.gain, (means[1] - after.mean) * after.gain
        if xx is not None:
            xx = before.gain[:, None] * xx * before.gain + len(x) * torch.outer(left_x, left_x)
        if xy is not None:
            xy = before.gain[:, None] * xy * after.gain + len(x) * torch.outer(left_x, left_y)
        return cls(x, y, before, after, tolerance, xx, xy, centre or scaling not in ("l2", "none"))

    def scaled(self) -> tuple[Tensor, Tensor]:
        """Scale the anchors, in float64, [n, d1] and [n, d2]."""
        x, y = self.x.double(), self.y.double()
        return (x - self.before.mean) * self.before.gain, (y - self.after.mean) * self.after.gain

    def told(self) -> dict[str, Any]:
        """Tell diagnostics of the anchors."""
        # none where nothing is centred: a gain of 0 says that a feature is constant
        ends = {"source": self.before, "target": self.after}
        constants = {name: int((end.gain == 0).sum()) for name, end in ends.items()}
        return {"anchors": len(self.x), "constant_features": constants}


def _sums(
    x: Tensor, y: Tensor, dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor], Tensor | None, Tensor | None]:
    """Gather both sides' means and deviations, and the centred x^T x and x^T y, in one pass over blocks.

    The products are left out where few anchors make them larger than the anchors themselves.
    """
    pair, count = (x, y), len(x)
    # rows are shifted by the first block's mean before anything is multiplied, so that nothing cancels
    shifts = [z[:BLOCK_ROWS].double().mean(0).to(dtype) for z in pair]
    totals = [z.new_zeros(z.shape[1], dtype=torch.float64) for z in pair]
    squares = [torch.zeros_like(total) for total in totals]
    xx = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64) if count >= x.shape[1] else None
    many = count >= min(x.shape[1], y.shape[1])
    xy = x.new_zeros(x.shape[1], y.shape[1], dtype=torch.float64) if many else None
    for blocks in zip(*(z.split(BLOCK_ROWS) for z in pair), strict=True):
        moved = [block.to(dtype) - shift for block, shift in zip(blocks, shifts, strict=True)]
        for z, total, square in zip(moved, totals, squares, strict=True):
            total += z.sum(0)
            square += z.square().sum(0)
        if xx is not None:
            xx += moved[0].T @ moved[0]
        if xy is not None:
            xy += moved[0].T @ moved[1]
    left = [total / count for total in totals]
    means = [shift.double() + rest for shift, rest in zip(shifts, left, strict=True)]
    variances = [square / count - rest.square() for square, rest in zip(squares, left, strict=True)]
    if xx is not None:
        xx -= count * torch.outer(left[0], left[0])
    if xy is not None:
        xy -= count * torch.outer(left[0], left[1])
    return means, [variance.clamp_min(0).sqrt() for variance in variances], xx, xy


def _scaler(
    scaling: Preprocessing, centre: bool, mean: Tensor, std: Tensor, eps: float, length: float | None
) -> Scaler:
    """Scale by the anchors' statistics; what varies by no more than its own rounding is constant."""
    if scaling in ("l2", "none") and not centre:
        return Scaler(torch.zeros_like(mean), torch.ones_like(mean), length)
    varies = std > 10 * eps * mean.abs()
    gain = 1 / std if scaling == "standard" else torch.ones_like(std)
    return Scaler(mean, torch.where(varies, gain, 0.0), length)


def check_anchors(x: Tensor, y: Tensor) -> None:
    """Refuse what nothing can be estimated on.

    Raises:
        AnchorsError: what is wrong.
    """
    for name, z in (("first", x), ("second", y)):
        if not z.is_floating_point() or z.ndim != 2 or not z.shape[1]:
            raise AnchorsError(f"anchors of the {name} space must be a matrix [n, d] of floats")
    if len(x) != len(y):
        raise AnchorsError(f"anchors must be parallel: {len(x)} rows in one space, {len(y)} in the other")
    if len(x) < 2:
        raise AnchorsError(f"at least two anchors are needed, {len(x)} given (n_samples = {len(x)})")
    for name, z in (("first", x), ("second", y)):
        if not bool(torch.isfinite(z).all()):
            raise AnchorsError(f"anchors of the {name} space hold NaN or infinite values")
        if bool((z == z[0]).all()):
            raise AnchorsError(f"all anchors of the {name} space are equal: nothing can be estimated")


def rounding_share(x: Tensor, y: Tensor) -> float:
    """Bound the relative size of singular values that rounding makes up, in data or computation."""
    computed: float = max(*x.shape, *y.shape) * torch.finfo(torch.float64).eps
    return max(computed, 32 * max(_eps(x, y)))


def _eps(x: Tensor, y: Tensor) -> tuple[float, float]:
    return torch.finfo(x.dtype).eps, torch.finfo(y.dtype).eps
