"""scikit-learn's digits in two views: the pixels, and a text that says row by row where there is ink.

Each run of adjacent pixels with ink is one word: the row, a to h, the third of it that the run's middle is
in, and its width: "amiddlethin bmiddlewide cleftdot crightthin ...". So the text is a coarser and different
description of the same image. It stands in for captions where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import DigitsData
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data import digits
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import Problem, UserError

if TYPE_CHECKING:
    import numpy as np

    from relrep_exp.config.schema import DescribedDigitsData

    Array = np.ndarray[Any, Any]

VERSION = 1
LANGUAGE = "en"
ROWS = "abcdefgh"
PLACES = ("left", "middle", "right")
WIDTHS = ("dot", "thin", "wide", "wide")  # of 1 to 4 pixels; wider ones are "full"


def identity(config: DescribedDigitsData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the samples of each view from others; the images are those of data=digits.

    Raises:
        UserError: a view is neither the image nor English.
    """
    _require_views(views)
    images = digits.identity(_plain(config), [IMAGE], offline)[IMAGE]
    texts = {**images, "name": config.name, "ink": config.ink, "version": VERSION}
    return {view: images if view == IMAGE else texts for view in views}


def load(config: DescribedDigitsData, views: Sequence[str], offline: bool) -> Samples:
    """Read images and describe them; row n is the same digit in both.

    Raises:
        UserError: a view is neither the image nor English, or the digits cannot be had.
    """
    _require_views(views)
    images = digits.load(_plain(config), [IMAGE], offline).views[IMAGE]
    pixels = [images.samples[row] for row in range(len(images.samples))]
    texts = View([described(image, config.ink) for image in pixels], images.is_train, images.labels)
    return Samples({view: images if view == IMAGE else texts for view in views}, parallel=True)


def described(image: Array, ink: int) -> str:
    """Describe an image, uint8 [8, 8], whose pixels are ink from the value `ink` on."""
    return " ".join(word for name, row in zip(ROWS, image, strict=True) for word in _words(name, row >= ink))


def _words(name: str, marked: Array) -> list[str]:
    """A word for each run of ink in a row, bool [8]."""
    return [f"{name}{_place(start, end, len(marked))}{_width(end - start)}" for start, end in _runs(marked)]


def _runs(marked: Array) -> list[tuple[int, int]]:
    """Start and end, exclusive, of each run of True in a bool [n]."""
    import numpy as np

    padded = np.concatenate([[0], marked.astype(np.int64), [0]])
    changes = np.flatnonzero(np.diff(padded)).tolist()
    return list(zip(changes[::2], changes[1::2], strict=True))


def _width(pixels: int) -> str:
    return WIDTHS[pixels - 1] if pixels <= len(WIDTHS) else "full"


def _place(start: int, end: int, size: int) -> str:
    """The third of the row that the middle of a run is in."""
    return PLACES[(start + end - 1) * len(PLACES) // (2 * size)]


def _plain(config: DescribedDigitsData) -> DigitsData:
    return DigitsData(kind="digits", test_share=config.test_share, split_seed=config.split_seed)


def _require_views(views: Sequence[str]) -> None:
    problems = [
        Problem(
            f"data=digits_described has no view {view!r}: it holds images and English texts",
            f"choose encoders of images, or of language={LANGUAGE}",
        )
        for view in views
        if view not in (IMAGE, LANGUAGE)
    ]
    if problems:
        raise UserError(problems)
