"""Least squares on parallel anchors: normal equations where they are safe, else singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment.parallel import Parallel

GRAM_LIMIT = 1e10  # of x^T x: beyond, less than half of float64's digits are left, and the SVD of x keeps all


@dataclass(frozen=True)
class Solution:
    """The map that minimises |x W - y|^2 + added |W|^2, W = basis @ core.

    Attributes:
        basis: orthonormal columns, [d1, k].
        core: [k, d2].
        condition: largest over smallest singular value of x that counts.
        rank: number of singular values that count.
        route: how it was solved.
    """

    basis: Tensor
    core: Tensor
    condition: float
    rank: int
    route: str

    @property
    def matrix(self) -> Tensor:
        """W, [d1, d2]."""
        return self.basis @ self.core

    @property
    def amplifies(self) -> float:
        """By how much an error of the sums of products may grow in W; the SVD does not use them."""
        return self.condition**2 if self.route == "cholesky" else 0.0

    def told(self) -> dict[str, Any]:
        """Rank, condition number and route."""
        return {"rank": self.rank, "condition": self.condition, "route": self.route}


def least_squares(anchors: Parallel, ridge: float) -> Solution:
    """W [d1, d2] of scaled anchors, of least norm where they leave it open.

    Args:
        anchors: n parallel anchors.
        ridge: added to the squared singular values, as a share of their mean.

    Raises:
        ValueError: a ridge below 0.
    """
    if not ridge >= 0:
        raise ValueError(f"ridge={ridge}: it must be 0 or more")
    solved = _normal_equations(anchors, ridge) if anchors.xx is not None else None
    return solved or _by_singular_values(anchors, ridge)


def _normal_equations(anchors: Parallel, ridge: float) -> Solution | None:
    """By Cholesky; None where x^T x is too badly conditioned.

    Features that are all zero, as dead units are once centred, have no part: that is the least norm.
    """
    assert anchors.xx is not None and anchors.xy is not None, "n >= d1"
    alive = (anchors.xx.diagonal() > 0).nonzero()[:, 0]
    gram = anchors.xx[alive][:, alive]
    values = torch.linalg.eigvalsh(gram)
    added = ridge * values.sum() / min(len(anchors.x), len(alive))
    if not bool(values[0] + added > (values[-1] + added) / GRAM_LIMIT):
        return None
    gram.diagonal().add_(added)
    core = torch.cholesky_solve(anchors.xy[alive], torch.linalg.cholesky(gram))
    kept = values[values > values[-1] / GRAM_LIMIT]
    basis = torch.eye(len(anchors.xx), dtype=core.dtype, device=core.device)[:, alive]
    return Solution(basis, core, float((kept[-1] / kept[0]).sqrt()), len(kept), "cholesky")


def _by_singular_values(anchors: Parallel, ridge: float) -> Solution:
    x, y = anchors.scaled()
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    alive = int((x != 0).any(0).sum())
    added = ridge * values.square().sum() / min(len(x), alive)
    kept = values > values[0] * anchors.tolerance
    values, left, right = values[kept], left[:, kept], right[kept]
    core = (values / (values.square() + added))[:, None] * (left.T @ y)
    return Solution(right.T, core, float(values[0] / values[-1]), len(values), "svd")
