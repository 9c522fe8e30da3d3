"""Texts as bags of tokens: what an embedding has to tell of a text as a whole, in whatever order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROWS = 4096  # of which the counts are made at once


def rarity(tokens: Tensor, vocabulary: int, special: Sequence[int]) -> Tensor:
    """log(N / texts that have the token), [V]; 0 for special tokens and for those that no text has.

    Args:
        tokens: N texts, int64 [N, T].
        vocabulary: V.
        special: tokens that say nothing of a text, such as padding.
    """
    texts = torch.zeros(vocabulary)
    for part in tokens.split(_ROWS):
        texts += torch.zeros(len(part), vocabulary).scatter_(1, part, 1.0).sum(0)
    found = (len(tokens) / texts).log().masked_fill(texts == 0, 0.0)
    found[list(special)] = 0.0
    return found


def bags(tokens: Tensor, weights: Tensor) -> Tensor:
    """The tokens [N, T] that each text has, each once, by weight [V] -> [N, V]; rows sum to one.

    A row is zero if all of its tokens weigh nothing.
    """
    present = torch.zeros(len(tokens), len(weights), device=tokens.device).scatter_(1, tokens, 1.0)
    weighed = present * weights
    return weighed / weighed.sum(1, keepdim=True).clamp_min(1e-6)
