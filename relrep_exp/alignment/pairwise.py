"""Methods that take one encoder's space to another's: decoders read their own encoder's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import AnchorSet, Space
from relrep_exp.alignment.relative import check_dimension, check_joined


class PairMap(Protocol):
    """A map from one encoder's space to another's."""

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d1] -> [N, d2]."""

    def diagnostics(self) -> dict[str, Any]:
        """Condition numbers, ranks, counts."""


Choose = Callable[[Mapping[str, Space]], AnchorSet]
Estimate = Callable[[Tensor, Tensor, str], PairMap]


class PairwiseAligner(Aligner):
    """Translations between every two encoders, each estimated on the two encoders' parallel anchors alone.

    Args:
        method: the name in tables.
        choose: picks the anchors, seeing the training encoders.
        estimate: the map from anchors [n, d1] to anchors [n, d2]; also told the pair's names, for messages.
    """

    def __init__(self, method: str, choose: Choose, estimate: Estimate):
        self.method, self._choose, self._estimate = method, choose, estimate
        self._anchor_set: AnchorSet | None = None
        self._anchors: dict[str, Tensor] = {}
        self._maps: dict[tuple[str, str], PairMap] = {}

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors and take every training encoder's embeddings of them."""
        self._anchor_set, self._maps = self._choose(spaces), {}
        self._anchors = {name: self._of(space) for name, space in spaces.items()}
        return self

    def join(self, name: str, space: Space) -> None:
        """Estimate the maps from the joining encoder to each of the others."""
        self._anchors[name] = self._of(space)
        for other, anchors in self._anchors.items():
            if other != name:
                self._maps[name, other] = self._estimate(self._anchors[name], anchors, f"{name} to {other}")

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Translate the target's x to the source's space, [N, d of the source]; x itself where they are one.

        Raises:
            ValueError: one of them never joined, or x has another dimension than the target's anchors.
        """
        for name in (source, target):
            check_joined(name, self._anchors)
        check_dimension(target, x, self._anchors[target].shape[1])
        if source == target:
            return x
        if (target, source) not in self._maps:
            raise ValueError(
                f"no map from {target!r} to {source!r}: {target!r} was fitted on, it never joined"
            )
        return self._maps[target, source](x)

    def points(self) -> int:
        """As many as there are samples in the anchors."""
        return 0 if self._anchor_set is None else self._anchor_set.used_points

    def diagnostics(self) -> dict[str, Any]:
        """What is known of each map."""
        return {f"{a} to {b}": pair.diagnostics() for (a, b), pair in self._maps.items()}

    def _of(self, space: Space) -> Tensor:
        """An encoder's embeddings of the anchors."""
        if self._anchor_set is None:
            raise RuntimeError("the aligner is not fitted: call fit({name: space}) first")
        return self._anchor_set.mix(space.x[self._anchor_set.ids.to(space.x.device)])
