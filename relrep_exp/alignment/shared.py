"""Spaces that all decoders share, made of the training encoders' support embeddings alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space, draw_support
from relrep_exp.alignment.arrays import common_rows


class SharedSpace(Protocol):
    """A consensus, a Procrustes mean, canonical variates: what joins is mapped to what the others made."""

    def fit(self, support: Mapping[str, Tensor]) -> Self:
        """Make it of embeddings [K, d_i] of the same K samples, row by row, for each encoder."""

    def join(self, name: str, support: Tensor) -> Self:
        """Map one more encoder to it, by its embeddings [K, d] of the same samples."""

    def transform(self, x: Tensor, encoder: str) -> Tensor:
        """Map x [N, d] of an encoder to it, [N, m]."""

    def diagnostics(self) -> dict[str, Any]:
        """Tell sizes and choices."""


class SharedSpaceAligner(Aligner):
    """Every decoder reads the same space; a joining encoder gives K support embeddings.

    Args:
        method: the name in tables.
        space: a fresh one.
        support: K, at most.
        seed: draws the support set.
    """

    def __init__(self, method: str, space: SharedSpace, support: int, seed: int):
        self.method, self._space, self._support, self._seed = method, space, support, seed
        self._ids = torch.empty(0, dtype=torch.int64)

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Make the space of the training encoders' support embeddings."""
        self._ids = draw_support(common_rows(spaces), self._support, self._seed)
        self._space.fit({name: space.x[self._ids.to(space.x.device)] for name, space in spaces.items()})
        return self

    def join(self, name: str, space: Space) -> None:
        """Map an encoder by its support embeddings."""
        self._space.join(name, space.x[self._ids.to(space.x.device)])

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Represent the target's x in the space, [N, m]: every decoder reads the same."""
        return self._space.transform(x, target)

    def points(self) -> int:
        """Count the support set."""
        return len(self._ids)

    def diagnostics(self) -> dict[str, Any]:
        """Tell the size of the support, and what the space tells."""
        return {"support_size": len(self._ids), **self._space.diagnostics()}
