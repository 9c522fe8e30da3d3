"""scikit-learn's digits: 1,797 real 8x8 images that come with the library, so they need no network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.image_samples import ArrayImages
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    import numpy as np

    from relrep_exp.config.schema import DigitsData

SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"
WHITE = 16  # in scikit-learn's copy


def identity(config: DigitsData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell these samples and their split from others; needs nothing loaded."""
    parts = {"test_share": config.test_share, "split_seed": config.split_seed}
    return {IMAGE: {"name": "digits", "white": 255, **parts, "sha256": SHA256}}


def load(config: DigitsData, views: Sequence[str], offline: bool) -> Samples:
    """Read images, labels and the stratified split.

    Raises:
        UserError: scikit-learn ships other images than those the identity names, or a class would be lost.
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    raw = load_digits()
    pixels, labels = raw.images.astype(np.uint8), raw.target.astype(np.int64)
    found = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        raise user_error(
            f"scikit-learn's digits have changed ({found[:12]})", "install the pinned scikit-learn"
        )
    is_train = torch.from_numpy(np.isin(np.arange(len(labels)), _training_rows(labels, config)))
    images = np.rint(pixels * (255 / WHITE)).astype(np.uint8)
    view = View(ArrayImages(images), is_train, torch.from_numpy(labels))
    return Samples({IMAGE: view}, parallel=True)


def _training_rows(labels: np.ndarray[Any, Any], config: DigitsData) -> np.ndarray[Any, Any]:
    import numpy as np
    from sklearn.model_selection import train_test_split

    try:
        train, _ = train_test_split(
            np.arange(len(labels)),
            test_size=config.test_share,
            random_state=config.split_seed,
            stratify=labels,
        )
    except ValueError as error:
        raise user_error(
            f"data.test_share={config.test_share}: {error}", "leave some of every class"
        ) from None
    rows: np.ndarray[Any, Any] = train
    return rows
