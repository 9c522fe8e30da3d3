"""Embeddings of the same samples by several encoders: what every task starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """Parallel embeddings with labels and a split.

    Attributes:
        spaces: encoder -> float32 [N, d_i]; row n is the same sample everywhere.
        labels: class numbers 0 .. C-1, int64, [N].
        is_train: bool, [N].
        keys: encoder -> identity of its embeddings, for whatever is cached about them.
    """

    spaces: Mapping[str, Tensor]
    labels: Tensor
    is_train: Tensor
    keys: Mapping[str, str]

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        return int(self.labels.max()) + 1

    def to(self, device: torch.device) -> Embeddings:
        """The same on a device."""
        spaces = {name: x.to(device) for name, x in self.spaces.items()}
        return replace(self, spaces=spaces, labels=self.labels.to(device), is_train=self.is_train.to(device))
