"""A ridge chosen by leaving out one parallel anchor after the other, in closed form: nothing is refitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from relrep_exp.alignment.parallel import SMALLEST, Parallel

Ridge = float | Literal["auto"]
RIDGES = tuple(10.0 ** (power / 2) for power in range(-12, 5))  # 1e-6 to 100, two a decade


def settled(ridge: Ridge, choose: Callable[[], float]) -> tuple[float, dict[str, float]]:
    """Give the ridge, chosen where it is left open, and what diagnostics tell of a choice.

    Raises:
        ValueError: below 0, or a word other than `auto`.
    """
    if ridge == "auto":
        return (chosen := choose()), {"ridge": chosen}
    if isinstance(ridge, str) or not ridge >= 0:
        raise ValueError(f"ridge={ridge}: it must be 0 or more, or 'auto'")
    return ridge, {}


def mean_square(x: Tensor) -> Tensor:
    """Average the squared singular values of x [n, d], to which a ridge is relative; no dead columns'."""
    return x.square().sum() / min(len(x), int((x != 0).any(0).sum()))


def choose_linear(anchors: Parallel) -> float:
    """Choose the ridge of `RIDGES` whose linear map errs least on anchors that it was fitted without."""
    return RIDGES[int(linear_errors(anchors, RIDGES).argmin())]


def choose_inverse(x: Tensor, y: Tensor) -> float:
    """Choose the ridge whose inverse relative projection points best to anchors that it was made without.

    Args:
        x: unit anchors of the space to leave, [n, d1].
        y: of the space to reach, [n, d2].
    """
    return RIDGES[int(inverse_errors(x, y, RIDGES).argmin())]


def linear_errors(anchors: Parallel, ridges: tuple[float, ...]) -> Tensor:
    """Sum |y_i - x_i W_i|^2 over scaled anchors, W_i the ridge regression on all but the i-th.

    The residuals of the map of all anchors, each over one minus its leverage (Allen 1974). What is added and
    how both sides are scaled stays that of all; where they are centred, W_i has an intercept of its own.

    Args:
        anchors: n parallel anchors.
        ridges: each above 0, a share of the mean squared singular value of x.

    Returns:
        [ridges].
    """
    x, y = anchors.scaled()
    z = _principal(x)
    squares, turned, mean = z.square().sum(0), z.T @ y, mean_square(x)
    of_mean = 1 / len(x) if anchors.centred else 0.0
    errors = []
    for ridge in ridges:
        weights = 1 / (squares + ridge * mean)
        residuals = y - z @ (weights[:, None] * turned)
        left = 1 - of_mean - z.square() @ weights
        errors.append((residuals / left[:, None]).square().sum())
    return torch.stack(errors)


def inverse_errors(x: Tensor, y: Tensor, ridges: tuple[float, ...]) -> Tensor:
    """Sum 1 - cos(y_i, what x_i is projected to by all anchors but the i-th).

    With A = x, B = y and G = B B^T + a I, x_i goes to x_i A^T G^-1 B. Without the i-th anchor that is, in
    the principal axes of B and with D = (B^T B + a I)^-1 there, (q_i + t_i z_i) D: z = B, q = (A A^T less its
    diagonal) B, t_i = q_i D z_i / (1 - z_i D z_i), by the inverse of G less a row and a column.

    Args:
        x: unit anchors of the space to leave, [n, d1].
        y: of the space to reach, [n, d2].
        ridges: each above 0, a share of the mean squared singular value of y.

    Returns:
        [ridges].
    """
    z, mean = _principal(y), mean_square(y)
    q, squares = x @ (x.T @ z) - x.square().sum(1, keepdim=True) * z, z.square().sum(0)
    errors = []
    for ridge in ridges:
        weights = 1 / (squares + ridge * mean)
        along = (q * z) @ weights / (1 - z.square() @ weights)
        made = (q + along[:, None] * z) * weights
        cosines = (made * z).sum(1) / (made.norm(dim=1) * z.norm(dim=1)).clamp_min(SMALLEST)
        errors.append((1 - cosines).sum())
    return torch.stack(errors)


def _principal(x: Tensor) -> Tensor:
    """Turn x [n, d] to its principal axes, [n, min(n, d)]: columns are orthogonal, rows as long as before."""
    if len(x) < x.shape[1]:
        return x @ torch.linalg.svd(x, full_matrices=False).Vh.T
    return x @ torch.linalg.eigh(x.T @ x).eigenvectors
