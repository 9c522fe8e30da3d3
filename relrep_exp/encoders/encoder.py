"""The encoder: a frozen model, together with the way samples become its inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}  # of weights


class Encoder(nn.Module, ABC):
    """A frozen model, together with the way samples become its inputs.

    The embedding of a sample depends on that sample alone: not on its batch, its neighbours or its place.

    Attributes:
        dim: d, the width of its embeddings.
    """

    dim: int

    @abstractmethod
    def prepare(self, samples: Sequence[Any]) -> Any:
        """Prepare a batch of samples: CPU tensors, in any nesting that torch's default collate moves about.

        Runs in a worker process where there are workers.
        """

    @abstractmethod
    def forward(self, inputs: Any) -> Tensor:
        """Embed what `prepare` made: [B, d], on the model's device."""

    def sizes(self, samples: Sequence[Any]) -> Sequence[int] | None:
        """Size up each sample, e.g. by its tokens, for batches of similar ones; None if all cost the same."""
        return None
