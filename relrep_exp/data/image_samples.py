"""Images that are decoded when asked for, from memory, from files and from Arrow tables."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.samples import BadSampleError, ImageSamples
from relrep_exp.store.inputs import is_file, reading

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

# Pillow's names of the formats of `image_files.SUFFIXES`: for some others it starts programs, as for EPS.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")


@dataclass(frozen=True)
class Split:
    """A split as its source has it.

    Attributes:
        samples: the images.
        labels: one per image, as the source spells them.
    """

    samples: ImageSamples
    labels: Sequence[Any]


@dataclass(frozen=True)
class ArrayImages:
    """Images of one size in memory: uint8, [N, H, W] or [N, H, W, 3]."""

    images: Array

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Array:
        image: Array = self.images[row]
        return image


@dataclass(frozen=True)
class FileImages:
    """Image files: paths relative to a folder."""

    root: Path
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Array:
        return decoded(self.root / self.paths[row])


@dataclass(frozen=True)
class TableImages:
    """A column of an Arrow table that lies on the disk: encoded images, or paths relative to `root`.

    Attributes:
        rows: a `datasets.Dataset`; it pickles as the names of its files.
        column: {"bytes", "path"} as the hub stores images, bytes, or text.
    """

    rows: Any
    column: str
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Array:
        value = self.rows[row][self.column]
        path = None
        if isinstance(value, dict):
            path, value = value.get("path"), value.get("bytes")
        if isinstance(value, str):
            path, value = value, None
        if value is not None:
            return decoded(value)
        if not path:
            raise BadSampleError("the image is missing")
        return decoded(self.root / path)


@dataclass(frozen=True)
class Joined:
    """The first `counts[k]` images of each part, one part after the other."""

    parts: Sequence[ImageSamples]
    counts: Sequence[int]

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitem__(self, row: int) -> Array:
        for part, count in zip(self.parts, self.counts, strict=True):
            if row < count:
                return part[row]
            row -= count
        raise IndexError(row)


@dataclass(frozen=True)
class Picked:
    """Some of the images, by their row numbers."""

    samples: ImageSamples
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Array:
        return self.samples[self.rows[row]]


def image_shape(samples: ImageSamples) -> tuple[int, ...] | None:
    """Find the shape that all images share, [H, W] or [H, W, 3]; None where they differ.

    Decodes images until two differ; images that cannot be decoded have no say.
    """
    if isinstance(samples, ArrayImages):
        shape: tuple[int, ...] = samples.images.shape[1:]
        return shape
    if isinstance(samples, Joined):
        first = [part for part, count in zip(samples.parts, samples.counts, strict=True) if count]
        if all(isinstance(part, ArrayImages) for part in first):
            shapes = {image_shape(part) for part in first}
            return shapes.pop() if len(shapes) == 1 else None
    common: tuple[int, ...] | None = None
    for row in range(len(samples)):
        try:
            found = samples[row].shape
        except BadSampleError:
            continue
        if common is not None and found != common:
            return None
        common = found
    return common


def decoded(source: bytes | Path) -> Array:
    """Decode an image file: uint8, [H, W] where it is grey, else [H, W, 3].

    Palettes and CMYK become RGB, transparency is dropped, 16 bits become 8, the first of several frames
    counts, and a photograph is turned upright as its EXIF tag says.

    Raises:
        BadSampleError: it cannot be decoded, or there is no such file.
        UserError: the system does not let us read it, which another time it may.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    where = "" if isinstance(source, bytes) else f"{source}: "
    if isinstance(source, Path):
        if not is_file(source):
            raise BadSampleError(f"there is no file {source!s}")
        with reading(source):
            source = source.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd and yet decoded
            with Image.open(io.BytesIO(source), formats=FORMATS) as image:
                return np.array(_grey_or_rgb(ImageOps.exif_transpose(image)))
    except Exception as error:  # damaged files make Pillow raise nearly anything
        unknown = isinstance(error, UnidentifiedImageError)
        reason = f"it is no {', '.join(FORMATS)}" if unknown else str(error) or type(error).__name__
        raise BadSampleError(f"{where}{reason}") from None


def _grey_or_rgb(image: Image) -> Image:
    """The same with 8 bits a channel."""
    import numpy as np
    from PIL.Image import fromarray

    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = np.array(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        # 65535 -> 255: Pillow itself would cut everything above 255.
        return fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    return image.convert("RGB")
