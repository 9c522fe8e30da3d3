"""Images out of a record."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def pixels(strip: str) -> np.ndarray[Any, Any]:
    """The uint8 pixels [H, W] or [H, W, 3] of a PNG in base 64."""
    with Image.open(io.BytesIO(base64.b64decode(strip))) as image:
        return np.asarray(image)
