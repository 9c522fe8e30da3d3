"""What a step of PARAM costs: operations, and bytes where several processes share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StepWork:
    """One step, forward and backward, counted over its matrix products.

    P S_w and x_w A_w^T need a gradient on one side, and so does A_w A_w^T, as it is symmetric; the logits of
    symNCE need it on both. A similarity that is not WIP mixes and compares raw embeddings as well. At the
    paper's size (d 384, 1,280 and 768, K 5,000, m 300, batch 1,024) a step is 24.1 GFLOP: mixing 14.6,
    products 3.0, Gram matrices 0.9, symNCE 5.7.

    Processes divide the rows of P and of the batch, hence all but the Gram matrices. What each gives and
    takes, forward and backward, are the anchors [m, sum d] and the normalised relative representations
    [E, B, m]; what the optimiser needs is the gradient of the logits [m, K]. At the paper's size that is
    5.8, 7.4 and 6.0 MB.

    Attributes:
        dims: d of each training encoder.
        support: K.
        anchors: m.
        batch: B.
        raw: whether the similarity is another than WIP.
        item: bytes of a number.
    """

    dims: Sequence[int]
    support: int
    anchors: int
    batch: int
    raw: bool = False
    item: int = 4

    @property
    def gflop(self) -> float:
        """Of one process that is alone, in 10^9 operations."""
        return (self._divided + self._everywhere) / 1e9

    def gflop_of_each(self, processes: int) -> float:
        """Of each of several, in 10^9 operations."""
        return (self._divided / processes + self._everywhere) / 1e9

    def megabytes(self) -> dict[str, float]:
        """What is added up over the processes in a step, forward and backward, by name, in 10^6 bytes."""
        numbers = {
            "anchors": 2 * self.anchors * self._width,
            "representations": 2 * len(self.dims) * self.batch * self.anchors if self._pairs else 0,
            "column sums": 2 * self._pairs * self.batch,
            "gradient of the logits": self.anchors * self.support,
        }
        return {name: count * self.item / 1e6 for name, count in numbers.items()}

    @property
    def _pairs(self) -> int:
        return len(self.dims) * (len(self.dims) - 1) // 2

    @property
    def _width(self) -> int:
        """Columns that P mixes."""
        return sum(self.dims) * (2 if self.raw else 1)

    @property
    def _divided(self) -> int:
        mixing = 4 * self.anchors * self.support * self._width
        products = 4 * self.batch * self.anchors * self._width
        return mixing + products + 6 * self.batch**2 * self.anchors * self._pairs

    @property
    def _everywhere(self) -> int:
        """The Gram matrices."""
        return 4 * self.anchors**2 * sum(self.dims)
