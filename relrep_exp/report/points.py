"""What tables and figures of an experiment are made of: its finished runs, each with its place in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from relrep_exp.store.records import Record


@dataclass(frozen=True)
class Point:
    """One finished run of an experiment.

    Attributes:
        method: as the experiment calls it, e.g. `random-cosine`.
        at: its value on each axis, e.g. {"seed": 0, "anchors.m": 64}.
        varied: the one key that was changed from the method's own setting, with its value; None for the base.
        record: its numbers. Two points have the same record where the value that was set is the default.
    """

    method: str
    at: Mapping[str, Any]
    varied: tuple[str, Any] | None
    record: Record


@dataclass(frozen=True)
class Drawing:
    """A figure and what it draws.

    Attributes:
        figure: ready to be saved.
        columns: the names of the numbers.
        rows: the numbers, one tuple a row: the CSV beside the figure.
    """

    figure: Figure
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
