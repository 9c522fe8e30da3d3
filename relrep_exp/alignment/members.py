"""An encoder of a shared space, and the checks of what is said to be one's embeddings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.similarity import Bound, Similarity, bind
from relrep_exp.alignment.standard import Standard
from relrep_exp.alignment.whitening import Whitening


@dataclass(frozen=True, eq=False)
class Member:
    """One encoder of the space.

    Attributes:
        whitening: its statistics.
        anchors: its anchors P X_sub, float64, [m, d].
        bound: the similarity to its anchors.
        shrinkage: lambda of the statistics.
        standard: what standardises its representations; None: nothing does.
        support: its support embeddings [K, d], where encoders that join are compared with it.
    """

    whitening: Whitening
    anchors: Tensor
    bound: Bound
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
        bound = bind(similarity, anchors, whitening)
        return cls(whitening, anchors, bound, shrinkage, standard, support)

    def project(self, x: Tensor) -> Tensor:
        """Compute relative representations of x [N, d], standardised, [N, m], in its dtype."""
        if self.standard is None:
            return self.bound(x).to(x.dtype)
        # cosines far from the origin are nearly 1: float32 has lost what standardising leaves
        exact = x if self.bound.similarity.prepare == "whitened" else x.double()
        return self.standard(self.bound(exact)).to(x.dtype)

    def same(self, other: Member) -> bool:
        """Tell whether another member, of a space with the same similarity, projects alike."""
        one, two = self.whitening, other.whitening
        if one is not two and not (torch.equal(one.mean, two.mean) and torch.equal(one.matrix, two.matrix)):
            return False
        if (self.standard is None) is not (other.standard is None):
            return False
        return torch.equal(self.anchors, other.anchors)


def not_fitted(what: str, given: str = "{name: embeddings}") -> ValueError:
    """Make the error of what is asked before `fit`."""
    from relrep_exp.alignment.fitted import NotFittedError  # scikit-learn, which takes a second

    return NotFittedError(f"{what} is not fitted: call fit({given}) first")


def check_joined(name: str, members: Collection[str]) -> None:
    """Refuse an encoder that is none of the members.

    Raises:
        NotFittedError: there are none.
        ValueError: it never joined; the message lists those that did.
    """
    if not members:
        raise not_fitted(f"encoder {name!r} never joined, the space")
    if name not in members:
        raise ValueError(f"encoder {name!r} never joined; there are {', '.join(members)}")


def check_dimension(name: str, x: Tensor, d: int) -> None:
    """Refuse what cannot be embeddings [N, d] of an encoder.

    Raises:
        ValueError: x is no matrix or has another dimension.
    """
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"{name!r} has dimension {d}, x is {tuple(x.shape)}")
