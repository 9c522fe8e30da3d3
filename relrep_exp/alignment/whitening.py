"""Statistics of embeddings: moments in one pass, and the shrunk symmetric whitening (Eq. 4, Appendix B)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from relrep_exp.alignment.arrays import Array, Embeddings, Rows, given_back, opened, rows_of
from relrep_exp.alignment.parameters import check_named
from relrep_exp.training.numbers import as_shipped, wide

Eps = float | Literal["auto"]

SHRINKAGE = 0.15
EPS = 5e-8
_ALL_EQUAL = "all embeddings are equal: there is no covariance to whiten with"
BLOCK_ROWS = 8_192  # of several encoders at once
BLOCK_ELEMENTS = 3 * 2**20  # 24 MiB in float64: the product reads a block from the processor's cache
DEVICE_ELEMENTS = 2**26  # on a GPU: few launches, and memory that does not grow with N either
PANEL = 192  # columns of one product: fewer save more by symmetry, and cost more calls


@dataclass(frozen=True)
class Whitening:
    """The whitening map of one encoder, x -> L (x - mu), with L = Sigma_lambda^(-1/2).

    Attributes:
        mean: mu, float64, [d].
        matrix: L, symmetric, in the dtype of the embeddings, [d, d].
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
    @as_shipped()
    def fit(cls, x: Embeddings, shrinkage: float = SHRINKAGE, eps: Eps = EPS) -> Whitening:
        """Estimate mean and shrunk covariance in float64, and cast the matrix to x's dtype, float32 at least.

        x is read once, block by block: of files in memory that N does not enter.

        Sigma_lambda = (1 - lambda) Sigma + lambda tr(Sigma)/d I + eps I (Appendix B), Sigma with the
        unbiased 1/(N - 1). Directions in which Sigma_lambda has no variance (rank-deficient data or N <= d
        at lambda = eps = 0) are mapped to zero, so that L is the square root of the pseudo-inverse.

        Args:
            x: the metric set, [N, d], N >= 2: a tensor, `FileRows`, an array, a DataFrame or lists.
            shrinkage: lambda in [0, 1].
            eps: additive constant >= 0; `auto`: 5e-8 of tr(Sigma)/d, whatever the scale of x.

        Raises:
            ValueError: x is not a finite matrix of at least two rows, all its rows are equal, or a parameter
                is out of its range.
        """
        check_named("Whitening", {"shrinkage": shrinkage, "eps": eps})
        rows = opened(x, "x")
        return cls.of(gathered(rows), wide(rows[:1]).dtype, shrinkage, eps)

    @classmethod
    def of(cls, seen: Moments, dtype: torch.dtype, shrinkage: float = SHRINKAGE, eps: Eps = EPS) -> Whitening:
        """Make the map from the moments of the metric set, as `fit` does."""
        covariance = seen.scatter / (seen.count - 1)
        matrix, condition, rank = inverse_root(shrunk(covariance, shrinkage, eps))
        return cls(seen.mean, matrix.to(dtype), condition, rank, seen.count)

    def to(self, device: torch.device) -> Whitening:
        """Move the map to a device."""
        return replace(self, mean=self.mean.to(device), matrix=self.matrix.to(device))

    @overload
    def __call__(self, x: Rows) -> Tensor: ...

    @overload
    def __call__(self, x: ArrayLike) -> Array: ...

    @as_shipped()
    def __call__(self, x: Embeddings) -> Tensor | Array:
        """Whitened coordinates x_w = L (x - mu). x [N, d] -> [N, d]; an array for an array."""
        rows = rows_of(x)
        if rows.shape[1:] != self.mean.shape:
            raise ValueError(f"x has dimension {rows.shape[1]}, the statistics {len(self.mean)}")
        whitened: Tensor | Array = given_back(centred_product(rows, self.mean, self.matrix), x)
        return whitened


def centred_product(x: Rows, mean: Tensor, matrix: Tensor) -> Tensor:
    """Multiply (x - mean) matrix, block by block. x [N, d], mean [d], matrix [d, k] -> [N, k], as the matrix.

    Subtracting the mean afterwards, x matrix - mean matrix, would save no time and cancel where the mean is
    large beside the standard deviation.
    """
    shift = mean.to(matrix.dtype)
    rest = (shift.double() - mean) @ matrix.double()  # far from 0 no small part of x - mean
    product = matrix.new_empty(len(x), matrix.shape[1])
    for rows, block in blocks_of(x, matrix.device):
        product[rows] = (block.to(matrix.device) - shift).to(matrix.dtype) @ matrix
    return product.add_(rest.to(matrix.dtype))


def shrunk(covariance: Tensor, shrinkage: float, eps: Eps) -> Tensor:
    """Shrink to Sigma_lambda of Appendix B. covariance [d, d] -> [d, d]."""
    d = len(covariance)
    identity = torch.eye(d, dtype=covariance.dtype, device=covariance.device)
    isotropic = covariance.diagonal().sum() / d
    added = EPS * isotropic if eps == "auto" else eps
    return (1 - shrinkage) * covariance + (shrinkage * isotropic + added) * identity


def inverse_root(sigma: Tensor) -> tuple[Tensor, float, int]:
    """Take the root of the pseudo-inverse, [d, d], its condition number and rank. sigma [d, d], float64."""
    values, vectors = torch.linalg.eigh(sigma)
    scale = root_scale(values)
    kept = scale > 0
    return (vectors * scale) @ vectors.T, float(values[-1] / values[kept][0]), int(kept.sum())


def root_scale(values: Tensor) -> Tensor:
    """Take the inverse roots of ascending eigenvalues [d], 0 where they are no more than rounding."""
    kept = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    return torch.where(kept, values.clamp_min(torch.finfo(torch.float64).tiny).rsqrt(), 0.0)


def moments(x: Rows) -> tuple[Tensor, Tensor]:
    """Estimate mean [d] and unbiased covariance [d, d] of x [N, d], in float64, in one pass over blocks.

    Raises:
        ValueError: numbers that are not finite, or rows that are all equal.
    """
    seen = gathered(x)
    return seen.mean, seen.scatter / (seen.count - 1)


def gathered(x: Rows) -> Moments:
    """Gather the moments of one encoder's rows [N, d], in float64, in one pass over blocks.

    Raises:
        ValueError: x is not a finite matrix of at least two rows, or all its rows are equal.
    """
    _check_matrix(x)
    seen = united(_checked_parts(x))
    if not bool(seen.scatter.diagonal().sum() > 0):
        raise ValueError(_ALL_EQUAL)
    return seen


def _checked_parts(x: Rows) -> Iterator[Moments]:
    """Gather the moments of each block."""
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


def _check_matrix(x: Rows) -> None:
    head = x[:1]
    if not isinstance(head, Tensor) or not head.is_floating_point():
        raise ValueError("embeddings must be a torch tensor of floats")
    if head.ndim != 2 or len(x) < 2:
        shape = (len(x), *head.shape[1:])
        raise ValueError(f"statistics need a matrix [N, d] with N >= 2, not {shape}")


@dataclass(frozen=True)
class Moments:
    """First and second moments of encoders side by side; of a size that does not depend on K.

    Attributes:
        dims: d of each encoder, in the order of the columns; D is their sum.
        count: K, rows seen.
        mean: [D], float64.
        scatter: sum over rows of (x - mean)(x - mean)^T, [D, D], float64.
    """

    dims: Mapping[str, int]
    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, blocks: Mapping[str, Tensor]) -> Moments:
        """Gather from parallel rows [n, d] of each encoder, all of them in memory."""
        centred = _side_by_side(list(blocks.values()))
        mean = centred.mean(0)
        centred -= mean
        dims = {name: block.shape[1] for name, block in blocks.items()}
        return cls(dims, len(centred), mean, gram(centred))

    @property
    def columns(self) -> dict[str, slice]:
        """Where each encoder stands."""
        places, start = {}, 0
        for name, d in self.dims.items():
            places[name] = slice(start, start + d)
            start += d
        return places

    def merged(self, other: Moments) -> Moments:
        """Merge with those of other rows (Chan, Golub and LeVeque 1979); the encoders must be the same."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        scatter = self.scatter + other.scatter
        scatter.addr_(apart, apart, alpha=self.count * other.count / count)
        return Moments(self.dims, count, mean, scatter)

    def without(self, part: Moments) -> Moments:
        """Take out those of some of the rows: the inverse of `merged`."""
        count = self.count - part.count
        mean = self.mean + (self.mean - part.mean) * (part.count / count)
        apart = part.mean - mean
        scatter = self.scatter - part.scatter
        scatter.addr_(apart, apart, alpha=-count * part.count / self.count)
        return Moments(self.dims, count, mean, scatter)

    def only(self, names: Sequence[str]) -> Moments:
        """Leave out all but these encoders, in their order here."""
        places = self.columns
        kept = [torch.arange(places[name].start, places[name].stop) for name in self.dims if name in names]
        columns = torch.cat(kept).to(self.mean.device)
        dims = {name: d for name, d in self.dims.items() if name in names}
        return Moments(dims, self.count, self.mean[columns], self.scatter[columns][:, columns])

    def covariance(self, one: str, other: str) -> Tensor:
        """Give the covariance of two encoders, divided by K, [d_one, d_other]."""
        return self.scatter[self.columns[one], self.columns[other]] / self.count

    def about(self, centre: Tensor) -> Tensor:
        """Give second moments about another point [D], divided by K, [D, D]."""
        apart = self.mean - centre
        return (self.scatter / self.count).addr_(apart, apart)


def gram(x: Tensor) -> Tensor:
    """Multiply x^T x by panels of columns, the half above the diagonal copied from below. x [n, d] -> [d, d].

    At d = 768 that is 5/8 of the multiplications of the whole product.
    """
    d = x.shape[1]
    product = x.new_empty(d, d)
    for start in range(0, d, PANEL):
        columns = slice(start, start + PANEL)
        panel = x[:, start:].T @ x[:, columns]
        product[start:, columns] = panel
        product[columns, start:] = panel.T
    return product


def blocks_of(x: Rows, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Cut all rows into blocks [n, d] that suit a device, each with its row numbers; one at least."""
    elements = BLOCK_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS
    size = max(1, elements // max(1, x[:1].shape[1]))
    places = (slice(start, start + size) for start in range(0, max(1, len(x)), size))
    return ((rows, x[rows]) for rows in places)


def folded(spaces: Mapping[str, Rows], folds: int) -> list[Moments]:
    """Gather moments of parts of the rows, one pass: of every `folds`-th row from each start."""
    rows = len(next(iter(spaces.values())))
    parts: list[Moments | None] = [None] * folds
    for start in range(0, rows, BLOCK_ROWS):
        block = {name: x[start : start + BLOCK_ROWS] for name, x in spaces.items()}
        for fold in range(folds):
            first = (fold - start) % folds
            if first < min(BLOCK_ROWS, rows - start):
                found, before = Moments.of({name: x[first::folds] for name, x in block.items()}), parts[fold]
                parts[fold] = found if before is None else before.merged(found)
    return [part for part in parts if part is not None]


def united(parts: Iterable[Moments]) -> Moments:
    """Merge the moments of all parts, of which two are held at a time."""
    return reduce(Moments.merged, parts)


def _side_by_side(blocks: Sequence[Tensor]) -> Tensor:
    """Copy in float64 parallel rows [n, d_i], [n, sum d_i]."""
    n, d = len(blocks[0]), sum(block.shape[1] for block in blocks)
    copy = torch.empty(n, d, dtype=torch.float64, device=blocks[0].device)
    for part, block in zip(copy.split([block.shape[1] for block in blocks], dim=1), blocks, strict=True):
        part.copy_(block)
    return copy
