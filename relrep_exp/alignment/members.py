"""An encoder of a shared space, and the checks of what is said to be one's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.similarity import Similarity, bind
from relrep_exp.alignment.standard import Standard
from relrep_exp.alignment.whitening import Whitening


@dataclass(frozen=True, eq=False)
class Member:
    """One encoder of the space.

    Attributes:
        whitening: its statistics.
        anchors: its anchors P X_sub, float64, [m, d].
        project: x [N, d] -> relative representations [N, m].
        shrinkage: lambda of the statistics.
        standard: what standardises its representations; None: nothing does.
        support: its support embeddings [K, d], where encoders that join are compared with it.
    """

    whitening: Whitening
    anchors: Tensor
    project: Callable[[Tensor], Tensor]
    shrinkage: float
    standard: Standard | None
    support: Tensor | None

    @classmethod
    def of(
        cls,
        similarity: Similarity,
        anchors: Tensor,
        whitening: Whitening,
        shrinkage: float,
        standard: Standard | None,
        support: Tensor | None,
    ) -> Member:
        """Bind a similarity to the anchors."""
        project = bind(similarity, anchors, whitening)

        def made(x: Tensor) -> Tensor:
            if standard is None:
                return project(x).to(x.dtype)
            # cosines far from the origin are nearly 1: float32 has lost what standardising leaves
            exact = x if similarity.prepare == "whitened" else x.double()
            return standard(project(exact)).to(x.dtype)

        return cls(whitening, anchors, made, shrinkage, standard, support)

    def same(self, other: Member) -> bool:
        """Tell whether another member, of a space with the same similarity, projects alike."""
        one, two = self.whitening, other.whitening
        if one is not two and not (torch.equal(one.mean, two.mean) and torch.equal(one.matrix, two.matrix)):
            return False
        if (self.standard is None) is not (other.standard is None):
            return False
        return torch.equal(self.anchors, other.anchors)


def check_joined(name: str, members: Collection[str]) -> None:
    """Refuse an encoder that is none of the members.

    Raises:
        ValueError: it never joined; the message lists those that did.
    """
    if name not in members:
        raise ValueError(f"encoder {name!r} never joined; there are {', '.join(members) or 'none'}")


def check_dimension(name: str, x: Tensor, d: int) -> None:
    """Refuse what cannot be embeddings [N, d] of an encoder.

    Raises:
        ValueError: x is no matrix or has another dimension.
    """
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"{name!r} has dimension {d}, x is {tuple(x.shape)}")
