"""Means and covariances of several encoders' parallel embeddings, gathered block by block in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

BLOCK_ROWS = 8_192


class Rows(Protocol):
    """Embeddings or features of K samples, some are taken at a time: a tensor, or what makes them."""

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
        x = torch.cat([block.double() for block in blocks.values()], dim=1)
        mean = x.mean(0)
        centred = x - mean
        return cls(
            {name: block.shape[1] for name, block in blocks.items()}, len(x), mean, centred.T @ centred
        )

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


def united(parts: Sequence[Moments]) -> Moments:
    """Of the rows of all parts."""
    return reduce(Moments.merged, parts)
