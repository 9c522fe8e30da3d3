"""Images inside a record: side by side in one PNG, as text."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def strip(images: Tensor) -> str:
    """Images, uint8 [n, C, H, W] with one or three channels, side by side as a PNG in base 64."""
    pixels = images.cpu().permute(2, 0, 3, 1).flatten(1, 2).numpy()  # [H, n * W, C]
    return png(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels)


def png(pixels: np.ndarray[Any, Any]) -> str:
    """Pixels, uint8 [H, W] or [H, W, 3], as a PNG in base 64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
