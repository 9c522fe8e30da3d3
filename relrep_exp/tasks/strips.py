"""Images inside a record: side by side in one PNG, as text."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def strip(images: Tensor) -> str:
    """Images, uint8 [n, C, H, W] with one or three channels, side by side as a PNG in base 64."""
    from PIL.Image import fromarray

    pixels = images.cpu().permute(2, 0, 3, 1).flatten(1, 2).numpy()  # [H, n * W, C]
    buffer = io.BytesIO()
    fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
