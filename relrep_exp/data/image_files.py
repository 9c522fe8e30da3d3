"""Images of a folder without tables: MNIST's idx files, or image files in a folder for each class.

idx files are four, plain or gzipped, with images and labels of both splits; image files are called
<split>/<class>/<any name>.png.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.image_samples import ArrayImages, FileImages, Split
from relrep_exp.errors import every, user_error
from relrep_exp.store.inputs import is_file

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
IDX_FILES = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
_SPLITS = {"train": "train", "test": "t10k"}  # ours -> theirs
_DIMENSIONS = {"images": 3, "labels": 1}
_UNSIGNED_BYTE = 8
_PACKED = 1100  # bytes that gzip makes of one at most, rounded up
_REMEDY = "download it again; data.root is the folder of MNIST's four idx files, gzipped or not"


def idx_files(root: Path) -> list[Path]:
    """Find the idx files in `root`."""
    names = [(split, part) for split in _SPLITS.values() for part in _DIMENSIONS]
    return [path for split, part in names if (path := _idx_path(root, split, part)) is not None]


def read_idx(root: Path) -> dict[str, Split]:
    """Read both splits of the idx files in `root`.

    torchvision's reader takes 2.4 times as long, knows no gzip, and says nothing of a damaged file to a user.

    Raises:
        UserError: a file is missing or damaged, or images and labels differ in number; every problem.
    """
    return every({split: partial(_idx_split, root, theirs) for split, theirs in _SPLITS.items()})


def _idx_split(root: Path, split: str) -> Split:
    parts = every({part: partial(_array, root, split, part) for part in _DIMENSIONS})
    images, labels = parts["images"], parts["labels"]
    if len(images) != len(labels):
        what = f"{root}: {split}-images has {len(images)} images, {split}-labels has {len(labels)} labels"
        raise user_error(what, _REMEDY)
    return Split(ArrayImages(images), labels.tolist())


def _idx_path(root: Path, split: str, part: str) -> Path | None:
    """The file, under either of the two spellings that are in use."""
    kind = f"idx{_DIMENSIONS[part]}-ubyte"
    names = [f"{split}-{part}{dot}{kind}{packed}" for dot in "-." for packed in ("", ".gz")]
    return next((root / name for name in names if is_file(root / name)), None)


def _array(root: Path, split: str, part: str) -> Array:
    """The numbers in one file: two zero bytes, their type, how many dimensions, these, and then the data."""
    import numpy as np

    dimensions = _DIMENSIONS[part]
    path = _idx_path(root, split, part)
    if path is None:
        wanted = f"{split}-{part}-idx{dimensions}-ubyte"
        raise user_error(f"{root}: there is no {wanted}[.gz] beside the other idx files", _REMEDY)
    start = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            raw = stream.read(start)
            promised = math.prod(int.from_bytes(raw[n : n + 4], "big") for n in range(4, start, 4))
            # Neither more than it promises, whatever it unpacks to, nor room for more than it can hold.
            raw += stream.read(min(promised + 1, _PACKED * path.stat().st_size))
    except (OSError, EOFError, zlib.error, MemoryError) as error:  # BadGzipFile is an OSError
        raise user_error(f"{path} cannot be read: {error}", _REMEDY) from None
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if raw[:4] != magic:
        what = f"{path} starts with {raw[:4].hex(' ') or 'nothing'}, expected {magic.hex(' ')}"
        raise user_error(f"{what}: unsigned bytes in {dimensions} dimensions", _REMEDY)
    shape = tuple(int(size) for size in np.frombuffer(raw[4:start].ljust(4 * dimensions, b"\0"), ">u4"))
    size = int(np.prod(shape, dtype=np.uint64))
    if len(raw) != start + size:
        said = " x ".join(map(str, shape))
        there = f"more than {size:d}" if len(raw) > start + size else max(len(raw) - start, 0)
        what = f"{path} holds {there} bytes of data, expected {size} ({said})"
        raise user_error(what, _REMEDY)
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


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

    Row n of a split takes turns through the classes, so that a limit keeps all of them. The imagefolder of
    `datasets` sorts by class, and takes 19 s for 10,000 images, which this lists in a tenth of one.
    """
    splits = {}
    for split, folder in (("train", train), ("test", test)):
        seen: Counter[str] = Counter()
        turns = []
        for path in sorted(name for name in images if name.startswith(f"{folder}/")):
            label = path.split("/")[1]
            turns.append((seen[label], label, path))  # the first of each class, the second of each class, ...
            seen[label] += 1
        turns.sort()
        paths = tuple(path for _, _, path in turns)
        splits[split] = Split(FileImages(root, paths), [label for _, label, _ in turns])
    return splits
