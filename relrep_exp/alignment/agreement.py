"""MAXVAR generalised CCA from second moments: where encoders agree, and the ridge maps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.whitening import Moments


@dataclass(frozen=True)
class Agreement:
    """The directions on which some encoders, the voters, agree; most agreed on first.

    Attributes:
        values: eigenvalues of the Gram matrix of the whitened embeddings side by side, [r]. Without
            shrinkage they run from the number of voters (all agree) over 1 (of one encoder alone) to 0.
        directions: H of each voter, [d, r]: the consensus of a sample is the sum over voters of w H.
    """

    values: Tensor
    directions: Mapping[str, Tensor]

    @property
    def rank(self) -> int:
        """How many directions there are."""
        return len(self.values)

    def stacked(self) -> Tensor:
        """The directions of all voters, [sum d, r]."""
        return torch.cat(list(self.directions.values()))

    def columns(self, moments: Moments) -> Tensor:
        """Where the voters' whitened coordinates, which `stacked` belongs to, stand in moments, [sum d]."""
        return _whitened_columns(moments, {name: len(h) for name, h in self.directions.items()})


def agree(moments: Moments, whitened: Mapping[str, int]) -> Agreement:
    """Eigenvectors of the Gram matrix [sum d, sum d] of the whitened embeddings of all voters side by side.

    They are the right singular vectors of the stacked whitened embeddings [K, sum d], so that stacked
    embeddings times eigenvectors are left singular vectors times singular values: the consensus.

    Args:
        moments: of the features of the voters at least.
        whitened: the voters, each with d: its leading features are its whitened coordinates.
    """
    columns = _whitened_columns(moments, whitened)
    values, vectors = torch.linalg.eigh(moments.scatter[columns][:, columns] / moments.count)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > values[0] * max(len(values), moments.count) * torch.finfo(values.dtype).eps
    vectors = vectors[:, kept]
    vectors = (
        vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    )  # of the two, one for good
    parts = vectors.split(list(whitened.values()))
    return Agreement(values[kept], dict(zip(whitened, parts, strict=True)))


def _whitened_columns(moments: Moments, whitened: Mapping[str, int]) -> Tensor:
    """Where the whitened coordinates of some encoders stand, the leading d of each one's features."""
    places = moments.columns
    starts = {name: places[name].start for name in whitened}
    columns = [torch.arange(start, start + whitened[name]) for name, start in starts.items()]
    return torch.cat(columns).to(moments.mean.device)


class RidgeMaps:
    """(S + ridge tr(S)/p I)^-1 B for any ridge: from centred features to what B is their covariance with.

    S and B are divided by K, so that the ridge counts relative to the mean variance, whatever K. Directions
    without variance are left out.

    Args:
        own: S, covariance of the features, [p, p].
        cross: B, [p, m].
    """

    def __init__(self, own: Tensor, cross: Tensor):
        values, vectors = torch.linalg.eigh(own)
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        self._values, self._vectors, self._mean = values[kept], vectors[:, kept], values.mean()
        self._turned = self._vectors.T @ cross

    def __call__(self, ridge: float) -> Tensor:
        """The map [p, m] of one ridge >= 0."""
        solved: Tensor = (self._vectors / (self._values + ridge * self._mean)) @ self._turned
        return solved
