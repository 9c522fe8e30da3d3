"""Means and covariances of several encoders' parallel embeddings, gathered block by block in float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

BLOCK_ROWS = 8_192  # of several encoders at once
BLOCK_ELEMENTS = 3 * 2**20  # 24 MiB in float64: the product reads a block from the processor's cache
DEVICE_ELEMENTS = 2**26  # on a GPU: few launches, and memory that does not grow with N either
PANEL = (
    192  # columns of one product: fewer leave out more of the half that symmetry gives, and cost more calls
)


class Rows(Protocol):
    """Embeddings or features of K samples, some are taken at a time: a tensor, what makes or reads them."""

    def __len__(self) -> int:
        """K."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Some of them, [n, d]."""


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
        """Of parallel rows [n, d] of each encoder, all of them in memory."""
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
        """Of the rows of both (Chan, Golub and LeVeque 1979); the encoders must be the same."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        scatter = self.scatter + other.scatter
        scatter.addr_(apart, apart, alpha=self.count * other.count / count)
        return Moments(self.dims, count, mean, scatter)

    def only(self, names: Sequence[str]) -> Moments:
        """What these encoders alone would have given, in their order here."""
        places = self.columns
        kept = [torch.arange(places[name].start, places[name].stop) for name in self.dims if name in names]
        columns = torch.cat(kept).to(self.mean.device)
        dims = {name: d for name, d in self.dims.items() if name in names}
        return Moments(dims, self.count, self.mean[columns], self.scatter[columns][:, columns])

    def covariance(self, one: str, other: str) -> Tensor:
        """Of two encoders, divided by K, [d_one, d_other]."""
        return self.scatter[self.columns[one], self.columns[other]] / self.count

    def about(self, centre: Tensor) -> Tensor:
        """Second moments about another point [D], divided by K, [D, D]."""
        apart = self.mean - centre
        return (self.scatter / self.count).addr_(apart, apart)


def gram(x: Tensor) -> Tensor:
    """x^T x, panel by panel of columns, the half above the diagonal copied from below. x [n, d] -> [d, d].

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
    """All rows, as many at a time as suit a device, each block [n, d] with its row numbers; one at least."""
    elements = BLOCK_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS
    size = max(1, elements // max(1, x[:1].shape[1]))
    places = (slice(start, start + size) for start in range(0, max(1, len(x)), size))
    return ((rows, x[rows]) for rows in places)


def folded(spaces: Mapping[str, Rows], folds: int) -> list[Moments]:
    """Moments of parts of the rows, one pass: of every `folds`-th row from each start."""
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
    """Of the rows of all parts, of which two are held at a time."""
    return reduce(Moments.merged, parts)


def _side_by_side(blocks: Sequence[Tensor]) -> Tensor:
    """A float64 copy of parallel rows [n, d_i], [n, sum d_i]."""
    n, d = len(blocks[0]), sum(block.shape[1] for block in blocks)
    copy = torch.empty(n, d, dtype=torch.float64, device=blocks[0].device)
    for part, block in zip(copy.split([block.shape[1] for block in blocks], dim=1), blocks, strict=True):
        part.copy_(block)
    return copy
