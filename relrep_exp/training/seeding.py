"""Randomness is passed in: every use of a seed has a stream of its own, so that no draw shifts another."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def scoped_seed(seed: int, *scope: object) -> int:
    """Derive a seed for one use of `seed`, the same on every machine; 56 bits."""
    text = "/".join(map(str, (seed, *scope)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def generator(seed: int, *scope: object) -> torch.Generator:
    """Make a CPU generator for one use of `seed`."""
    import torch  # which identities, that are asked of this module's importers, do without

    return torch.Generator().manual_seed(scoped_seed(seed, *scope))
