"""Whether decoders mind the norm of what they read, which cosines and L2 scaling take away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def rescaling(
    decoder: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, factors: Sequence[float]
) -> dict[float, float]:
    """Accuracy of a decoder whose input is multiplied by a factor (arXiv:2406.15057, 2311.00664).

    Without biases, ReLU makes a decoder exactly invariant to positive factors; monotone activations nearly;
    a cosine is not.

    Args:
        decoder: x [N, d] -> logits [N, C].
        x: embeddings that it reads.
        y: classes, int64, [N].
        factors: by which x is multiplied.

    Returns:
        The share of right answers, by factor.

    Raises:
        ValueError: x and y have unequal rows.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} embeddings for {len(y)} classes")
    return {factor: float((decoder(x * factor).argmax(1) == y).double().mean()) for factor in factors}
