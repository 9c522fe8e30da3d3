"""Latent translation (arXiv:2311.00664): affine, linear, l-ortho and ortho maps between two spaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kind = Literal["affine", "linear", "l_ortho", "ortho"]
Preprocessing = Literal["standard", "l2", "none"]


@dataclass(frozen=True)
class Scaler:
    """x -> (x - mean) / scale by the anchors' statistics; with l2, every row over its norm.

    Attributes:
        mean: [d].
        scale: [d]; of l2 the mean norm of the anchors, by which `undo` multiplies.
        unit: whether rows are brought to norm 1.
    """

    mean: Tensor
    scale: Tensor
    unit: bool = False

    @classmethod
    def fit(cls, kind: Preprocessing, anchors: Tensor) -> Scaler:
        """Statistics of anchors [n, d], float64; a feature that does not vary among them keeps its scale."""
        zeros = anchors.new_zeros(anchors.shape[1])
        if kind == "none":
            return cls(zeros, zeros + 1.0)
        if kind == "l2":
            return cls(zeros, zeros + anchors.norm(dim=1).mean(), unit=True)
        scale = anchors.std(0, correction=0)
        return cls(anchors.mean(0), torch.where(scale > 0, scale, 1.0))

    def __call__(self, x: Tensor) -> Tensor:
        """Scaled x, [N, d]."""
        return F.normalize(x, dim=1) if self.unit else (x - self.mean) / self.scale

    def undo(self, x: Tensor) -> Tensor:
        """The inverse; norms that l2 took away come back as the anchors' mean norm."""
        return x * self.scale + self.mean


@dataclass(frozen=True)
class TranslationMap:
    """A map from one space to another.

    Attributes:
        before: scales what comes in.
        matrix: [d1, d2].
        offset: [d2].
        after: scales what goes out.
    """

    before: Scaler
    matrix: Tensor
    offset: Tensor
    after: Scaler
    told: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d1] -> [N, d2]."""
        moved = self.before(x.double()) @ self.matrix + self.offset
        return self.after.undo(moved).to(x.dtype)

    def diagnostics(self) -> dict[str, Any]:
        """Anchors, rank and condition number."""
        return self.told


def translation(
    kind: Kind, x: Tensor, y: Tensor, scaling: Preprocessing = "standard", ridge: float = 0.0
) -> TranslationMap:
    """The map from x [n, d1] to y [n, d2], parallel anchors."""
    x, y = x.double(), y.double()
    before, after = Scaler.fit(scaling, x), Scaler.fit(scaling, y)
    matrix, offset = _MAPS[kind](before(x), after(y), ridge)
    return TranslationMap(before, matrix, offset, after, {"anchors": len(x)})


def ortho(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Procrustes: R orthogonal that minimises |x R - y|, of zero-padded x and y; [d1, d2] of it."""
    d = max(x.shape[1], y.shape[1])
    padded = [F.pad(z, (0, d - z.shape[1])) for z in (x, y)]
    return _nearest_orthogonal(padded[0].T @ padded[1])[: x.shape[1], : y.shape[1]], y.new_zeros(y.shape[1])


def linear(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Least squares, of least norm where anchors are few."""
    return _least_squares(x, y, ridge), y.new_zeros(y.shape[1])


def l_ortho(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """The orthogonal map nearest to the linear one."""
    found = _least_squares(x, y, ridge)
    d = max(found.shape)
    padded = F.pad(found, (0, d - found.shape[1], 0, d - found.shape[0]))
    return _nearest_orthogonal(padded)[: found.shape[0], : found.shape[1]], y.new_zeros(y.shape[1])


def affine(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Least squares with an offset."""
    matrix = _least_squares(x - x.mean(0), y - y.mean(0), ridge)
    return matrix, y.mean(0) - x.mean(0) @ matrix


def _nearest_orthogonal(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest: Tensor = left @ right
    return nearest


def _least_squares(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    kept = values > values[0] * max(x.shape) * torch.finfo(x.dtype).eps
    values, added = values[kept], ridge * values.square().mean()
    scale = values / (values.square() + added)
    solved: Tensor = (right[kept].T * scale) @ (left[:, kept].T @ y)
    return solved


_MAPS: dict[str, Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]] = {
    "affine": affine,
    "linear": linear,
    "l_ortho": l_ortho,
    "ortho": ortho,
}
