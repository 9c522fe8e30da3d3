"""Parallel anchors of two spaces: checks, scaling by their statistics, sums of products."""

from __future__ import annotations

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
        length: mean norm of the anchors, which l2 takes away and `undo` gives back; None otherwise.
    """

    mean: Tensor
    gain: Tensor
    length: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Scaled x, [N, d]."""
        return ((x if self.length is None else F.normalize(x, dim=1)) - self.mean) * self.gain

    def undo(self, z: Tensor) -> Tensor:
        """The inverse, [N, d], but for norms that l2 took away: all rows get the anchors' mean norm."""
        return z * self.slope() + self.level()

    def slope(self) -> Tensor:
        """What `undo` multiplies by, [d]."""
        return torch.where(self.gain > 0, 1 / self.gain, 1.0) * (self.length or 1.0)

    def level(self) -> Tensor:
        """What `undo` adds, [d]."""
        return self.mean * (self.length or 1.0)

    def constants(self) -> int:
        """How many features do not vary among the anchors; 0 where they are not centred."""
        return int((self.gain == 0).sum())


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
        exact: whether the products were taken in float64.
    """

    x: Tensor
    y: Tensor
    before: Scaler
    after: Scaler
    tolerance: float
    xx: Tensor | None = None
    xy: Tensor | None = None
    exact: bool = True

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
        sums = _Sums(x, y, torch.float64 if exact else torch.float32, gram=len(x) >= x.shape[1])
        before, after = (
            _scaler(scaling, centre, mean, std, eps, length)
            for mean, std, eps, length in zip(sums.means, sums.stds, _eps(x, y), lengths, strict=True)
        )
        for name, end in (("first", before), ("second", after)):
            if not bool(end.gain.any()):
                raise AnchorsError(f"all anchors of the {name} space are equal but for rounding")
        xx, xy = _scaled_products(sums, before, after)
        return cls(x, y, before, after, tolerance, xx, xy, exact)

    def scaled(self) -> tuple[Tensor, Tensor]:
        """Scaled anchors in float64, [n, d1] and [n, d2]."""
        x, y = self.x.double(), self.y.double()
        return (x - self.before.mean) * self.before.gain, (y - self.after.mean) * self.after.gain

    def told(self) -> dict[str, Any]:
        """What diagnostics say of the anchors."""
        constants = {"source": self.before.constants(), "target": self.after.constants()}
        return {"anchors": len(self.x), "constant_features": constants}


class _Sums:
    """Means, standard deviations and centred sums of products, in one pass over blocks of rows.

    Rows are shifted by the first block's mean before anything is multiplied, so that nothing cancels.
    """

    def __init__(self, x: Tensor, y: Tensor, dtype: torch.dtype, gram: bool):
        self.count = len(x)
        pair = (x, y)
        shifts = [z[:BLOCK_ROWS].double().mean(0).to(dtype) for z in pair]
        totals = [z.new_zeros(z.shape[1], dtype=torch.float64) for z in pair]
        squares = [torch.zeros_like(total) for total in totals]
        many = self.count >= min(x.shape[1], y.shape[1])
        xx = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64) if gram else None
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
        left = [total / self.count for total in totals]
        self.means = [shift.double() + rest for shift, rest in zip(shifts, left, strict=True)]
        self.stds = [
            (square / self.count - rest.square()).clamp_min(0).sqrt()
            for square, rest in zip(squares, left, strict=True)
        ]
        self.xx = None if xx is None else xx - self.count * torch.outer(left[0], left[0])
        self.xy = None if xy is None else xy - self.count * torch.outer(left[0], left[1])


def _scaler(
    scaling: Preprocessing, centre: bool, mean: Tensor, std: Tensor, eps: float, length: float | None
) -> Scaler:
    """By the statistics of anchors; a feature that varies by no more than its own rounding is constant."""
    if scaling in ("l2", "none") and not centre:
        return Scaler(torch.zeros_like(mean), torch.ones_like(mean), length)
    varies = std > 10 * eps * mean.abs()
    gain = 1 / std if scaling == "standard" else torch.ones_like(std)
    return Scaler(mean, torch.where(varies, gain, 0.0), length)


def _scaled_products(sums: _Sums, before: Scaler, after: Scaler) -> tuple[Tensor | None, Tensor | None]:
    """x^T x and x^T y of scaled anchors; those that are not centred get their means back."""
    ends = [before, after]
    left = [(mean - end.mean) * end.gain for mean, end in zip(sums.means, ends, strict=True)]

    def scaled(products: Tensor | None, i: int) -> Tensor | None:
        if products is None:
            return None
        gained = before.gain[:, None] * products * ends[i].gain
        return gained + sums.count * torch.outer(left[0], left[i])

    return scaled(sums.xx, 0), scaled(sums.xy, 1)


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
    """The relative size of singular values that rounding makes up, in the data or in the computation."""
    computed: float = max(*x.shape, *y.shape) * torch.finfo(torch.float64).eps
    return max(computed, 32 * max(_eps(x, y)))


def _eps(x: Tensor, y: Tensor) -> tuple[float, float]:
    return torch.finfo(x.dtype).eps, torch.finfo(y.dtype).eps
