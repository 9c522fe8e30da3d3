"""What tells tensors from others: their numbers."""

from __future__ import annotations

import hashlib

from torch import Tensor


def digest(*tensors: Tensor) -> str:
    """SHA-256 of the numbers of some tensors, in hex; their shapes do not enter."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()
