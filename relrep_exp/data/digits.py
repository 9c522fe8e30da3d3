"""scikit-learn's digits: 1,797 real 8x8 images that come with the library, so they need no network."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import user_error
from relrep_exp.schema import DigitsData

if TYPE_CHECKING:
    from torch import Tensor

SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"


@dataclass(frozen=True)
class ImageData:
    """Labelled images with a fixed split.

    Attributes:
        images: float32 in [0, 1], [N, channels, height, width].
        labels: int64, [N].
        is_train: bool, [N].
    """

    images: Tensor
    labels: Tensor
    is_train: Tensor


def identity(config: DigitsData) -> dict[str, Any]:
    """What tells these samples and their split from others; needs nothing loaded."""
    return {**asdict(config), "sha256": SHA256}


def load(config: DigitsData) -> ImageData:
    """Images, labels and the stratified split.

    Raises:
        UserError: scikit-learn ships other images than those the identity names.
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    pixels, labels = raw.images.astype(np.uint8), raw.target.astype(np.int64)
    found = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        raise user_error(
            f"scikit-learn's digits have changed ({found[:12]})", "install the pinned scikit-learn"
        )
    rows = np.arange(len(labels))
    try:
        train, _ = train_test_split(
            rows, test_size=config.test_share, random_state=config.split_seed, stratify=labels
        )
    except ValueError as error:
        raise user_error(
            f"data.test_share={config.test_share}: {error}", "leave some of every class"
        ) from None
    images = torch.from_numpy(pixels).float()[:, None] / 16.0
    return ImageData(images, torch.from_numpy(labels), torch.from_numpy(np.isin(rows, train)))
