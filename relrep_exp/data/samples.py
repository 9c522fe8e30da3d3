"""Samples as encoders read them: one view for images, one view per language for texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from relrep_exp.errors import Problem, UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class BadSampleError(Exception):
    """A sample that cannot be read: a damaged image, say. The text says why, without naming the row."""


class PointSample(NamedTuple):
    """A made-up sample.

    Attributes:
        number: its row, which seeds any noise that an encoder adds to it.
        coordinates: float64, [d].
    """

    number: int
    coordinates: Tensor


class ImageSamples(Protocol):
    """Images, decoded when asked for. Worker processes get a copy, so it pickles small or maps a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> np.ndarray[Any, Any]:
        """uint8, 0 is black and 255 white; [H, W] or [H, W, 3].

        Raises:
            BadSampleError: it cannot be decoded.
        """


@dataclass(frozen=True)
class View:
    """The samples as one kind of encoder reads them.

    Attributes:
        samples: images (`ImageSamples`) or texts (`Sequence[str]`).
        is_train: bool, [N].
        labels: class numbers 0 .. C-1, int64, [N]; None for a parallel source.
    """

    samples: Sequence[Any] | ImageSamples
    is_train: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class Samples:
    """A data set.

    Attributes:
        views: view -> its samples.
        parallel: whether row n is the same sample in every view (labels and split are then the same, too).
        notes: anything that a record should say about them: counts, licence, what was left out.
    """

    views: Mapping[str, View]
    parallel: bool
    notes: Mapping[str, Any] = field(default_factory=dict)


def require_views(views: Sequence[str], known: Collection[str], what: str, remedy: str) -> None:
    """Refuse views that data do not have.

    Args:
        views: those that encoders ask for.
        known: those that there are.
        what: the fault, with {view} or {view!r} where the view is named.
        remedy: what to do about it; it may name the view as well.

    Raises:
        UserError: some are not known; every one.
    """
    wrong = [view for view in views if view not in known]
    if wrong:
        raise UserError(Problem(what.format(view=view), remedy.format(view=view)) for view in wrong)
