"""Which rows are meant: a number, several, or a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor


def row_numbers(rows: Any, count: int) -> Tensor:
    """Read which of `count` rows are meant: int64 [n] for numbers or a mask, [] for one number.

    Raises:
        IndexError: there is no such row, or it is neither.
    """
    import numpy as np
    import torch

    if isinstance(rows, tuple):
        raise IndexError(f"rows are picked, not columns: give row numbers [n] as a list, not {rows}")
    try:
        held = (rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.array(rows))).cpu()
    except (ValueError, TypeError):
        raise IndexError(f"give row numbers or a mask, not {type(rows).__name__}") from None
    is_mask = held.dtype == torch.bool
    fits = not held.is_floating_point() or not held.numel()
    if held.ndim > 1 or not fits or (is_mask and held.shape != (count,)):
        what = f"{held.dtype} {list(held.shape)}"
        raise IndexError(f"give row numbers [n], or a mask of bool [{count}], not {what}")
    numbers = held.nonzero()[:, 0] if is_mask else held.long()
    if not bool(((numbers >= -count) & (numbers < count)).all()):
        raise IndexError(f"row numbers must be {-count:,} to {count - 1:,}")
    return numbers % count
