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
        self._anchor_set = self._choose(spaces)
        self._anchors, self._maps = {}, {}
        for name, space in spaces.items():
            self._anchors[name] = self._of(space)
        return self

    def join(self, name: str, space: Space) -> None:
        """Estimate the maps from the joining encoder to each of the others."""
        self._anchors[name] = self._of(space)
        for source in self._anchors:
            if source != name:
                self._map(name, source)

    def native(self, x: Tensor, encoder: str) -> Tensor:
        """x itself."""
        return x

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """The target's x translated to the source's space, [N, d of the source].

        Raises:
            ValueError: one of them never joined, or x has another dimension than the target's anchors.
        """
        for name in (source, target):
            check_joined(name, self._anchors)
        check_dimension(target, x, self._anchors[target].shape[1])
        return x if source == target else self._map(target, source)(x)

    def points(self, name: str) -> int:
        """As many as there are samples in the anchors."""
        return 0 if self._anchor_set is None else self._anchor_set.used_points()

    def diagnostics(self) -> dict[str, Any]:
        """What is known of each map."""
        return {f"{a} to {b}": pair.diagnostics() for (a, b), pair in self._maps.items()}

    def _of(self, space: Space) -> Tensor:
        if self._anchor_set is None:
            raise RuntimeError("the aligner is not fitted: call fit({name: space}) first")
        return self._anchor_set.mix(space.x[self._anchor_set.ids.to(space.x.device)])

    def _map(self, start: str, end: str) -> PairMap:
        if (start, end) not in self._maps:
            anchors = self._anchors[start], self._anchors[end]
            self._maps[start, end] = self._estimate(*anchors, f"{start} to {end}")
        return self._maps[start, end]
