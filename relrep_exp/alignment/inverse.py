"""Inverse relative projection (arXiv:2406.15057)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.translation import Preprocessing, Scaler


@dataclass(frozen=True)
class InverseRelativeMap:
    """Cosines to the anchors of one space, inverted with the anchors of another.

    Attributes:
        before: scales what comes in.
        anchors: unit anchors of the first space, [n, d1].
        inverse: pseudo-inverse of the unit anchors of the second, [n, d2].
        after: scales what goes out, which has norm `length` before it.
        length: mean norm of the second space's scaled anchors.
    """

    before: Scaler
    anchors: Tensor
    inverse: Tensor
    after: Scaler
    length: float
    told: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d1] -> [N, d2]."""
        cosines = F.normalize(self.before(x.double()), dim=1) @ self.anchors.T
        moved = F.normalize(cosines @ self.inverse, dim=1) * self.length
        return self.after.undo(moved).to(x.dtype)

    def diagnostics(self) -> dict[str, Any]:
        """Anchors, rank and condition number."""
        return self.told


def inverse_relative(
    x: Tensor, y: Tensor, scaling: Preprocessing = "standard", ridge: float = 0.0
) -> InverseRelativeMap:
    """The map from the space of x [n, d1] to that of y [n, d2], parallel anchors."""
    x, y = x.double(), y.double()
    before, after = Scaler.fit(scaling, x), Scaler.fit(scaling, y)
    scaled = after(y)
    unit = F.normalize(scaled, dim=1)
    left, values, right = torch.linalg.svd(unit, full_matrices=False)
    kept = values > values[0] * max(unit.shape) * torch.finfo(unit.dtype).eps
    values = values[kept]
    scale = values / (values.square() + ridge * values.square().mean())
    told = {"anchors": len(x), "rank": int(kept.sum()), "condition": float(values[0] / values[-1])}
    return InverseRelativeMap(
        before,
        F.normalize(before(x), dim=1),
        (left[:, kept] * scale) @ right[kept],
        after,
        float(scaled.norm(dim=1).mean()),
        told,
    )


def reconstruction(x: Tensor, anchors: Tensor, ridge: float = 0.0) -> dict[str, float]:
    """How well x [N, d] is recovered from its own cosines to anchors [n, d]."""
    back = inverse_relative(anchors, anchors, "none", ridge)(x.double())
    unit, made = F.normalize(x.double(), dim=1), F.normalize(back, dim=1)
    error = (made - unit).norm() / unit.norm()
    return {"cosine": float((unit * made).sum(1).mean()), "error": float(error)}
