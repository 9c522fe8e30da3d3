"""Images of a folder without tables: MNIST's idx files, or image files in a folder for each class.

idx files are four, plain or gzipped, with images and labels of both splits; image files are called
<split>/<class>/<any name>.png.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.image_samples import ArrayImages, FileImages, Split
from relrep_exp.errors import Problem, UserError, user_error

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
IDX_FILES = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
_SPLITS = {"train": "train", "test": "t10k"}  # ours -> theirs
_DIMENSIONS = {"images": 3, "labels": 1}
_UNSIGNED_BYTE = 8
_REMEDY = "download it again; data.root is the folder of MNIST's four idx files, gzipped or not"


def idx_files(root: Path) -> list[Path]:
    """Find the idx files in `root`."""
    names = [(split, part) for split in _SPLITS.values() for part in _DIMENSIONS]
    return [path for split, part in names if (path := _idx_path(root, split, part)) is not None]


def read_idx(root: Path) -> dict[str, Split]:
    """Read both splits of the idx files in `root`.

    Raises:
        UserError: a file is missing or damaged, or images and labels differ in number; every problem.
    """
    splits, problems = {}, []
    for split, theirs in _SPLITS.items():
        try:
            splits[split] = _idx_split(root, theirs)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return splits


def _idx_split(root: Path, split: str) -> Split:
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


def _idx_path(root: Path, split: str, part: str) -> Path | None:
    """The file, under either of the two spellings that are in use."""
    kind = f"idx{_DIMENSIONS[part]}-ubyte"
    names = [f"{split}-{part}{dot}{kind}{packed}" for dot in "-." for packed in ("", ".gz")]
    return next((root / name for name in names if (root / name).is_file()), None)


def _existing(root: Path, split: str, part: str) -> Path:
    path = _idx_path(root, split, part)
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


def images_of(names: Iterable[str]) -> list[str]:
    """Pick the names that are of images."""
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def class_folders(names: Iterable[str], train: str, test: str) -> list[str]:
    """Find the images of both splits that lie in the folder of a class.

    Args:
        names: files of the data set's folder, relative to it.
        train: the folder of the training split.
        test: the folder of the test split.
    """
    places = (f"{train}/", f"{test}/")
    return [name for name in images_of(names) if name.startswith(places) and name.count("/") > 1]


def read_folders(root: Path, images: Sequence[str], train: str, test: str) -> dict[str, Split]:
    """Read both splits of these `class_folders`; a class is called what its folder is called.

    Row n of a split takes turns through the classes, so that a limit keeps all of them.
    """
    splits = {}
    for split, folder in (("train", train), ("test", test)):
        paths = _in_turns(sorted(name for name in images if name.startswith(f"{folder}/")))
        splits[split] = Split(FileImages(root, tuple(paths)), [_class(path) for path in paths])
    return splits


def _in_turns(paths: list[str]) -> list[str]:
    """The first of each class, the second of each class, ..."""
    places: dict[str, int] = {}
    keyed = []
    for path in paths:
        name = _class(path)
        places[name] = places.get(name, -1) + 1
        keyed.append((places[name], name, path))
    return [path for _, _, path in sorted(keyed)]


def _class(path: str) -> str:
    return path.split("/")[1]
