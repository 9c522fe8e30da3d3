"""Statistics of one embedding space and the shrunk symmetric whitening (Eq. 4, Appendix B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relrep_exp.alignment.moments import Moments, Rows, blocks_of, united

SHRINKAGE = 0.15
EPS = 5e-8
_ALL_EQUAL = "all embeddings are equal: there is no covariance to whiten with"


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
    def fit(cls, x: Rows, shrinkage: float = SHRINKAGE, eps: float = EPS) -> Whitening:
        """Estimate mean and shrunk covariance in float64, then cast to the dtype of x.

        x is read once, block by block: a tensor, or the rows of files in memory that N does not enter.

        Sigma_lambda = (1 - lambda) Sigma + lambda tr(Sigma)/d I + eps I (Appendix B), Sigma with the
        unbiased 1/(N - 1). Directions in which Sigma_lambda has no variance (rank-deficient data or N <= d
        at lambda = eps = 0) are mapped to zero, so that L is the square root of the pseudo-inverse.

        Args:
            x: the metric set, [N, d], N >= 2: a tensor or `FileRows`.
            shrinkage: lambda in [0, 1].
            eps: additive constant >= 0.

        Raises:
            ValueError: x is not a finite matrix of at least two rows, or all its rows are equal.
        """
        dtype = _checked_dtype(x)
        mean, covariance = moments(x)
        matrix, condition, rank = inverse_root(shrunk(covariance, shrinkage, eps))
        return cls(mean.to(dtype), matrix.to(dtype), condition, rank, len(x))

    def to(self, device: torch.device) -> Whitening:
        """The same map on a device."""
        return replace(self, mean=self.mean.to(device), matrix=self.matrix.to(device))

    def __call__(self, x: Tensor) -> Tensor:
        """Whitened coordinates x_w = L (x - mu). x [N, d] -> [N, d]."""
        return centred_product(x, self.mean, self.matrix)


def centred_product(x: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    """(x - mean) matrix, block by block. x [N, d], mean [d], matrix [d, k] -> [N, k].

    Subtracting the mean afterwards, x matrix - mean matrix, would save no time and cancel where the mean is
    large beside the standard deviation.
    """
    product = matrix.new_empty(len(x), matrix.shape[1])
    for rows, block in blocks_of(x, x.device):
        product[rows] = (block - mean) @ matrix
    return product


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


def moments(x: Rows) -> tuple[Tensor, Tensor]:
    """Mean [d] and unbiased covariance [d, d] of x [N, d], in float64 and one pass over blocks of rows.

    Raises:
        ValueError: numbers that are not finite, or rows that are all equal.
    """
    seen = united(_checked_parts(x))
    covariance = seen.scatter / (seen.count - 1)
    if not bool(covariance.diagonal().sum() > 0):
        raise ValueError(_ALL_EQUAL)
    return seen.mean, covariance


def _checked_parts(x: Rows) -> Iterator[Moments]:
    """The moments of each block."""
    first, differ = x[:1], False
    for rows, block in blocks_of(x, first.device):
        part = Moments.of({"x": block})
        if not bool(torch.isfinite(part.mean).all()):  # as it is if any number of the block is not
            row = rows.start + int(torch.isfinite(block).all(1).logical_not().int().argmax())
            raise ValueError(f"the embeddings hold NaN or infinite values, the first in row {row:,}")
        differ = differ or bool((block != first).any())
        yield part
    if not differ:
        raise ValueError(_ALL_EQUAL)


def _checked_dtype(x: Rows) -> torch.dtype:
    """The dtype of what may be a metric set."""
    head = x[:1]
    if not isinstance(head, Tensor) or not head.is_floating_point():
        raise ValueError("embeddings must be a torch tensor of floats")
    if head.ndim != 2 or len(x) < 2:
        shape = (len(x), *head.shape[1:])
        raise ValueError(f"statistics need a matrix [N, d] with N >= 2, not {shape}")
    return head.dtype
