"""Encoders by name: whether their rows are parallel, and whether x is of one that joined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sized

from torch import Tensor


def common_rows(spaces: Mapping[str, Sized]) -> int:
    """The number of rows that all have.

    Raises:
        ValueError: no encoder, or rows that are not parallel.
    """
    rows = {name: len(space) for name, space in spaces.items()}
    if not rows:
        raise ValueError("no encoder given")
    if len(set(rows.values())) > 1:
        raise ValueError(f"rows must be parallel, the same samples for every encoder; got {rows}")
    return next(iter(rows.values()))


def check_joined(name: str, members: Collection[str]) -> None:
    """Refuse an encoder that is none of the members.

    Raises:
        ValueError: it never joined; the message lists those that did.
    """
    if name not in members:
        raise ValueError(f"encoder {name!r} never joined; there are {', '.join(members) or 'none'}")


def check_dimension(name: str, x: Tensor, d: int) -> None:
    """Refuse what cannot be embeddings [N, d] of an encoder.

    Raises:
        ValueError: x is no matrix or has another dimension.
    """
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"{name!r} has dimension {d}, x is {tuple(x.shape)}")
