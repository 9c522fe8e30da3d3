"""scikit-learn's digits: 1,797 real 8x8 images that come with the library, so they need no network.

data=digits_described has a second view: a text that says row by row where there is ink. Each run of adjacent
pixels with ink is one word: the row, a to h, the third of it that the run's middle is in, and its width:
"amiddlethin bmiddlewide cleftdot crightthin ...". So the text is a coarser and different description of the
same image. It stands in for captions where there are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import DescribedDigitsData
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.image_samples import ArrayImages
from relrep_exp.data.samples import Samples, View, require_views
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    import numpy as np

    from relrep_exp.config.schema import DigitsData

    Array = np.ndarray[Any, Any]

SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"
WHITE = 16  # in scikit-learn's copy

VERSION = 1  # of the texts
LANGUAGE = "en"
ROWS = "abcdefgh"
PLACES = ("left", "middle", "right")
WIDTHS = ("dot", "thin", "wide", "wide")  # of 1 to 4 pixels; wider ones are "full"


def identity(
    config: DigitsData | DescribedDigitsData, views: Sequence[str], offline: bool
) -> dict[str, dict[str, Any]]:
    """Tell the samples of each view from others; the images are the same in both kinds of data.

    Raises:
        UserError: a view is neither the image nor English.
    """
    parts = {"test_share": config.test_share, "split_seed": config.split_seed}
    images = {"name": "digits", "white": 255, **parts, "sha256": SHA256}
    if not isinstance(config, DescribedDigitsData):
        return {IMAGE: images}
    _require(views)
    texts = {**images, "name": config.name, "ink": config.ink, "version": VERSION}
    return {view: images if view == IMAGE else texts for view in views}


def load(config: DigitsData | DescribedDigitsData, views: Sequence[str], offline: bool) -> Samples:
    """Read images, labels and the stratified split, and describe the images; row n is the same digit in both.

    Raises:
        UserError: scikit-learn ships other images than those the identity names, a class would be lost, or a
            view is neither the image nor English.
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    pixels, labels = raw.images.astype(np.uint8), raw.target.astype(np.int64)
    found = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        what = f"scikit-learn's digits have changed ({found[:12]})"
        raise user_error(what, "install the pinned scikit-learn")
    rows = np.arange(len(labels))
    share = {"test_size": config.test_share, "random_state": config.split_seed}
    try:
        train, _ = train_test_split(rows, **share, stratify=labels)
    except ValueError as error:
        what = f"data.test_share={config.test_share}: {error}"
        raise user_error(what, "leave some of every class") from None
    images = np.rint(pixels * (255 / WHITE)).astype(np.uint8)
    view = View(ArrayImages(images), torch.from_numpy(np.isin(rows, train)), torch.from_numpy(labels))
    if not isinstance(config, DescribedDigitsData):
        return Samples({IMAGE: view}, parallel=True)
    _require(views)
    texts = View([described(image, config.ink) for image in images], view.is_train, view.labels)
    return Samples({name: view if name == IMAGE else texts for name in views}, parallel=True)


def described(image: Array, ink: int) -> str:
    """Describe an image, uint8 [8, 8], whose pixels are ink from the value `ink` on."""
    import numpy as np

    words = []
    for name, row in zip(ROWS, image, strict=True):
        marked = np.concatenate([[0], row >= ink, [0]]).astype(np.int64)
        changes = np.flatnonzero(np.diff(marked)).tolist()  # start and end, exclusive, of each run
        for start, end in zip(changes[::2], changes[1::2], strict=True):
            place = PLACES[(start + end - 1) * len(PLACES) // (2 * len(row))]
            width = WIDTHS[end - start - 1] if end - start <= len(WIDTHS) else "full"
            words.append(f"{name}{place}{width}")
    return " ".join(words)


def _require(views: Sequence[str]) -> None:
    require_views(
        views,
        (IMAGE, LANGUAGE),
        "data=digits_described has no view {view!r}: it holds images and English texts",
        f"choose encoders of images, or of language={LANGUAGE}",
    )
