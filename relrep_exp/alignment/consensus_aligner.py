"""The consensus as an aligner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space, common_rows, draw_support
from relrep_exp.alignment.consensus import Consensus


class ConsensusAligner(Aligner):
    """Every decoder reads the training encoders' consensus; a joining encoder gives K support embeddings.

    Args:
        method: the name in tables.
        space: a fresh consensus.
        support: K, at most.
        seed: draws the support set.
    """

    def __init__(self, method: str, space: Consensus, support: int, seed: int):
        self.method, self._space, self._support, self._seed = method, space, support, seed
        self._ids = torch.empty(0, dtype=torch.int64)

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Solve for the consensus of the training encoders' support embeddings."""
        self._ids = draw_support(common_rows(spaces), self._support, self._seed)
        self._space.fit({name: self._of(space) for name, space in spaces.items()})
        return self

    def join(self, name: str, space: Space) -> None:
        """Ridge regression from the support embeddings to the consensus."""
        self._space.join(name, self._of(space))

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Represent the target's x in the consensus, [N, m]: every decoder reads the same space."""
        return self._space.transform(x, target)

    def points(self) -> int:
        """The support set."""
        return len(self._ids)

    def diagnostics(self) -> dict[str, Any]:
        """Its size, what was chosen with which held-out R^2, and how far the dimensions are agreed on."""
        found = self._space.solution
        return {
            "support_size": len(self._ids),
            "m": found.choice.m,
            "ridge": found.choice.ridge,
            "score": found.choice.score,
            "eigenvalues": [round(value, 4) for value in found.agreement.values[: found.choice.m].tolist()],
        }

    def _of(self, space: Space) -> Tensor:
        return space.x[self._ids.to(space.x.device)]
