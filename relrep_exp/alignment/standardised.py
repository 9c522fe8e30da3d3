"""Standardise what decoders read of any method, by each encoder's own unlabelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.standard import Standard, Standardise
from relrep_exp.alignment.whitening import blocks_of


class StandardisedAligner(Aligner):
    """Another aligner, whose representations have mean 0, and variance 1, over each encoder's training rows.

    A shift or a scale that a map leaves between two encoders is gone, and no label nor any pair is used. A
    `RelativeSpace` does so itself, with the same `Standard`: it is used and saved without an aligner.

    Args:
        aligner: not fitted yet.
        how: `mean` or `mean_variance`.
    """

    def __init__(self, aligner: Aligner, how: Standardise):
        self.method, self._aligner, self._how = aligner.method, aligner, how
        self._sources: tuple[str, ...] = ()
        self._standards: dict[tuple[str, str], Standard] = {}

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Fit the aligner, and what it makes of each training encoder's own rows."""
        self._aligner.fit(spaces)
        self._sources, self._standards = tuple(spaces), {}
        for name, space in spaces.items():
            self._measure(name, name, space)
        return self

    def join(self, name: str, space: Space) -> None:
        """Let in an encoder, and measure its rows as each training encoder's decoder reads them."""
        self._aligner.join(name, space)
        for source in self._sources:
            if self._aligner.carries(source, name):
                self._measure(source, name, space)

    def fit_own(self, name: str, space: Space) -> None:
        """Do the same for its own decoder."""
        self._aligner.fit_own(name, space)
        self._measure(name, name, space)

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Represent x [N, d] as the aligner does, standardised, [N, k]."""
        return self._standards[source, target](self._aligner.carry(x, source, target))

    def carries(self, source: str, target: str) -> bool:
        """Tell what the aligner tells."""
        return self._aligner.carries(source, target)

    def points(self) -> int:
        """Count what the aligner counts."""
        return self._aligner.points()

    def diagnostics(self) -> dict[str, Any]:
        """Tell what the aligner tells."""
        return self._aligner.diagnostics()

    def _measure(self, source: str, target: str, space: Space) -> None:
        blocks = blocks_of(space.measured, space.x.device)
        read = (self._aligner.carry(block, source, target) for _, block in blocks)
        self._standards[source, target] = Standard.fit(read, self._how)
