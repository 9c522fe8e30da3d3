"""Statistics of one embedding space and the shrunk symmetric whitening (Eq. 4, Appendix B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

BLOCK_ROWS = 65_536
SHRINKAGE = 0.15
EPS = 5e-8


@dataclass(frozen=True)
class Whitening:
    """The whitening map of one encoder, x -> L (x - mu), with L = Sigma_lambda^(-1/2).

    Attributes:
        mean: mu, [d].
        matrix: L, symmetric, [d, d].
        condition: largest over smallest kept eigenvalue of Sigma_lambda.
        rank: number of kept eigenvalues; below d only where Sigma_lambda is singular (lambda = eps = 0).
        count: N, the number of embeddings behind the statistics.
    """

    mean: Tensor
    matrix: Tensor
    condition: float
    rank: int
    count: int

    @classmethod
    def fit(cls, x: Tensor, shrinkage: float = SHRINKAGE, eps: float = EPS) -> Whitening:
        """Estimate mean and shrunk covariance in float64, then cast to the dtype of x.

        Sigma_lambda = (1 - lambda) Sigma + lambda tr(Sigma)/d I + eps I (Appendix B), Sigma with the
        unbiased 1/(N - 1). Directions in which Sigma_lambda has no variance (rank-deficient data or N <= d
        at lambda = eps = 0) are mapped to zero, so that L is the square root of the pseudo-inverse.

        Args:
            x: the metric set, [N, d], N >= 2.
            shrinkage: lambda in [0, 1].
            eps: additive constant >= 0.

        Raises:
            ValueError: x is not a finite matrix of at least two rows, or all its rows are equal.
        """
        _check_metric_set(x)
        mean, covariance = moments(x)
        if bool((x == x[0]).all()) or not bool(covariance.diagonal().sum() > 0):
            raise ValueError("all embeddings are equal: there is no covariance to whiten with")
        matrix, condition, rank = inverse_root(shrunk(covariance, shrinkage, eps))
        return cls(mean.to(x.dtype), matrix.to(x.dtype), condition, rank, len(x))

    def to(self, device: torch.device) -> Whitening:
        """The same map on a device."""
        return replace(self, mean=self.mean.to(device), matrix=self.matrix.to(device))

    def __call__(self, x: Tensor) -> Tensor:
        """Whitened coordinates x_w = L (x - mu). x [N, d] -> [N, d]."""
        return (x - self.mean) @ self.matrix


def shrunk(covariance: Tensor, shrinkage: float, eps: float) -> Tensor:
    """Sigma_lambda of Appendix B. covariance [d, d] -> [d, d]."""
    d = len(covariance)
    identity = torch.eye(d, dtype=covariance.dtype, device=covariance.device)
    isotropic = covariance.diagonal().sum() / d
    return (1 - shrinkage) * covariance + (shrinkage * isotropic + eps) * identity


def inverse_root(sigma: Tensor) -> tuple[Tensor, float, int]:
    """The square root of the pseudo-inverse, [d, d], its condition number and rank. sigma [d, d], float64."""
    values, vectors = torch.linalg.eigh(sigma)
    kept = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    scale = torch.where(kept, values.clamp_min(torch.finfo(torch.float64).tiny).rsqrt(), 0.0)
    return (vectors * scale) @ vectors.T, float(values[-1] / values[kept][0]), int(kept.sum())


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [d] and unbiased covariance [d, d] of x [N, d], accumulated in float64 by blocks of rows."""
    mean = torch.stack([block.sum(0) for block in _blocks(x)]).sum(0) / len(x)
    scatter = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for block in _blocks(x):
        centred = block - mean
        scatter.addmm_(centred.T, centred)
    return mean, scatter / (len(x) - 1)


def _blocks(x: Tensor) -> Iterator[Tensor]:
    return (block.double() for block in x.split(BLOCK_ROWS))


def _check_metric_set(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ValueError("embeddings must be a torch tensor of floats")
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"statistics need a matrix [N, d] with N >= 2, not {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("the embeddings hold NaN or infinite values")
