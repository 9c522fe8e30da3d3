"""What every method is: something that lets a decoder of one encoder read another (DESIGN, idea 2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from relrep_exp.alignment.anchors import Space

if TYPE_CHECKING:
    from relrep_exp.alignment.relative import RelativeSpace


class Aligner(ABC):
    """Fitted on training encoders; others join with K support embeddings and their own statistics.

    Attributes:
        method: the name in tables; says the aligner with its parts, e.g. `param-wip`.
    """

    method: str

    @abstractmethod
    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Learn from the training encoders' parallel embeddings."""

    @abstractmethod
    def join(self, name: str, space: Space) -> None:
        """Let in an encoder that nothing was learned on.

        Only its support embeddings and the statistics of its unlabelled training embeddings may be used for
        what others read of it.
        """

    @abstractmethod
    def native(self, x: Tensor, encoder: str) -> Tensor:
        """What a decoder of `encoder` is trained on and reads. x [N, d] -> [N, k]."""

    @abstractmethod
    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """The target's x [N, d] as the source's decoder reads it, [N, k] with the source's k."""

    def carries(self, source: str, target: str) -> bool:
        """Whether `carry` is defined for this pair."""
        return True

    def reading(self, source: str, target: str) -> str | None:
        """What tells `carry` for this pair from any other map, whoever made it; None where nothing does.

        `native` of the source is `carry` from the source to itself.
        """
        return None

    def space(self, source: str) -> RelativeSpace | None:
        """The relative space that a decoder of the source reads; None where the method has none."""
        return None

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Loss per epoch of whatever was trained, by fit and by loss."""
        return {}

    def points(self, name: str) -> int:
        """How many parallel samples of an encoder others need in order to read it."""
        return 0

    def diagnostics(self) -> dict[str, Any]:
        """What a careful reader wants beside the numbers: condition numbers, ranks, counts."""
        return {}


class AbsoluteAligner(Aligner):
    """No alignment: embeddings as they are. Only the matching encoder is defined, dimensions differ."""

    method = "absolute"

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Nothing to learn."""
        return self

    def join(self, name: str, space: Space) -> None:
        """Nothing to prepare."""

    def native(self, x: Tensor, encoder: str) -> Tensor:
        """x itself."""
        return x

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """x itself, for the matching encoder only.

        Raises:
            ValueError: source and target differ.
        """
        if source != target:
            raise ValueError(f"absolute embeddings of {target!r} mean nothing to a decoder of {source!r}")
        return x

    def carries(self, source: str, target: str) -> bool:
        """Only for the matching encoder."""
        return source == target
