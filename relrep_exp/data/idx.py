"""MNIST's idx files: four of them, plain or gzipped, hold images and labels of both splits."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.image_samples import ArrayImages, Split
from relrep_exp.errors import Problem, UserError, user_error

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LOOKED_FOR = (
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
)
_SPLITS = {"train": "train", "test": "t10k"}  # ours -> theirs
_DIMENSIONS = {"images": 3, "labels": 1}
_UNSIGNED_BYTE = 8
_REMEDY = "download it again; data.root is the folder of MNIST's four idx files, gzipped or not"


def found(root: Path) -> list[Path]:
    """The idx files in `root`."""
    names = [(split, part) for split in _SPLITS.values() for part in _DIMENSIONS]
    return [path for split, part in names if (path := _path(root, split, part)) is not None]


def read(root: Path) -> dict[str, Split]:
    """Both splits.

    Raises:
        UserError: a file is missing or damaged, or images and labels differ in number; every problem.
    """
    splits, problems = {}, []
    for split, theirs in _SPLITS.items():
        try:
            splits[split] = _split(root, theirs)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return splits


def _split(root: Path, split: str) -> Split:
    arrays: dict[str, Array] = {}
    problems: list[Problem] = []
    for part, dimensions in _DIMENSIONS.items():
        try:
            arrays[part] = _array(_existing(root, split, part), dimensions)
        except UserError as error:
            problems += error.problems
    if not problems and len(arrays["images"]) != len(arrays["labels"]):
        what = f"{root}: {split}-images has {len(arrays['images'])} images, {split}-labels has "
        problems.append(Problem(f"{what}{len(arrays['labels'])} labels", _REMEDY))
    if problems:
        raise UserError(problems)
    return Split(ArrayImages(arrays["images"]), arrays["labels"].tolist())


def _path(root: Path, split: str, part: str) -> Path | None:
    """The file, under either of the two spellings that are in use."""
    kind = f"idx{_DIMENSIONS[part]}-ubyte"
    names = [f"{split}-{part}{dot}{kind}{packed}" for dot in "-." for packed in ("", ".gz")]
    return next((root / name for name in names if (root / name).is_file()), None)


def _existing(root: Path, split: str, part: str) -> Path:
    path = _path(root, split, part)
    if path is None:
        wanted = f"{split}-{part}-idx{_DIMENSIONS[part]}-ubyte"
        raise user_error(f"{root}: there is no {wanted}[.gz] beside the other idx files", _REMEDY)
    return path


def _array(path: Path, dimensions: int) -> Array:
    """The numbers in one file: two zero bytes, their type, how many dimensions, these, and then the data."""
    import numpy as np

    raw = _bytes(path)
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if raw[:4] != magic:
        what = f"{path} starts with {raw[:4].hex(' ') or 'nothing'}, expected {magic.hex(' ')}"
        raise user_error(f"{what}: unsigned bytes in {dimensions} dimensions", _REMEDY)
    start = 4 + 4 * dimensions
    shape = tuple(int(size) for size in np.frombuffer(raw[4:start].ljust(4 * dimensions, b"\0"), ">u4"))
    size = int(np.prod(shape, dtype=np.uint64))
    if len(raw) != start + size:
        said = " x ".join(map(str, shape))
        what = f"{path} holds {max(len(raw) - start, 0)} bytes of data, expected {size} ({said})"
        raise user_error(what, _REMEDY)
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _bytes(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return stream.read()
        return path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise user_error(f"{path} cannot be read: {error}", _REMEDY) from None
