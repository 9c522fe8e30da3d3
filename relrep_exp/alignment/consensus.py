"""A shared space in closed form: MAXVAR generalised CCA of the training encoders' support embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space, draw_support
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Whitening


@dataclass(frozen=True)
class ConsensusMap:
    """x -> (x - mean) W + offset. W [d, m]."""

    mean: Tensor
    matrix: Tensor
    offset: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d] -> [N, m]."""
        return ((x.double() - self.mean) @ self.matrix + self.offset).to(x.dtype)


class ConsensusAligner(Aligner):
    """The leading m directions on which the training encoders agree, and every encoder's ridge map to them.

    Args:
        method: the name in tables.
        support: K.
        m: dimensions of the space.
        ridge: of the maps, times K.
        shrinkage: lambda of the shrunk covariance.
        eps: its additive constant.
        seed: draws the support set.
    """

    def __init__(
        self,
        method: str,
        support: int = 5000,
        m: int | Literal["auto"] = "auto",
        ridge: float | Literal["auto"] = "auto",
        shrinkage: float = SHRINKAGE,
        eps: float = EPS,
        seed: int = 0,
    ):
        self.method, self._support, self._m, self._ridge = method, support, m, ridge
        self._shrinkage, self._eps, self._seed = shrinkage, eps, seed
        self._maps: dict[str, ConsensusMap] = {}
        self._ids = torch.empty(0, dtype=torch.int64)
        self._consensus = torch.empty(0, 0)

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Solve for the consensus of the support and map every training encoder to it."""
        first = next(iter(spaces.values()))
        self._ids = draw_support(len(first.x), self._support, self._seed).to(first.x.device)
        supports = [space.x[self._ids].double() for space in spaces.values()]
        whitened = [Whitening.fit(x, self._shrinkage, self._eps)(x) for x in supports]
        left, values, _ = torch.linalg.svd(torch.cat(whitened, dim=1), full_matrices=False)
        m = 16 if self._m == "auto" else self._m
        self._consensus = left[:, :m] * values[:m]
        for name, space in spaces.items():
            self.join(name, space)
        return self

    def join(self, name: str, space: Space) -> None:
        """Ridge regression from the support embeddings to the consensus."""
        x = space.x[self._ids].double()
        centred = x - x.mean(0)
        ridge = 1e-2 if self._ridge == "auto" else self._ridge
        gram = centred.T @ centred + ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        matrix = torch.linalg.solve(gram, centred.T @ self._consensus)
        self._maps[name] = ConsensusMap(x.mean(0), matrix, self._consensus.mean(0))

    def native(self, x: Tensor, encoder: str) -> Tensor:
        """x in the consensus, [N, m]."""
        return self._maps[encoder](x)

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """The target's x in the consensus: every decoder reads the same space."""
        return self._maps[target](x)

    def points(self, name: str) -> int:
        """The support set."""
        return len(self._ids)

    def diagnostics(self) -> dict[str, Any]:
        """Its size."""
        return {"support_size": len(self._ids), "m": self._consensus.shape[1]}
