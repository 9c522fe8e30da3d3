"""Image folders: <split>/<class>/<any name>.png."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from relrep_exp.data.image_samples import FileImages, Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")


def images_of(names: Iterable[str]) -> list[str]:
    """The names that are of images."""
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def found(names: Iterable[str], train: str, test: str) -> list[str]:
    """The images of both splits that lie in the folder of a class.

    Args:
        names: files of the data set's folder, relative to it.
        train: the folder of the training split.
        test: the folder of the test split.
    """
    places = (f"{train}/", f"{test}/")
    return [name for name in images_of(names) if name.startswith(places) and name.count("/") > 1]


def read(root: Path, images: Sequence[str], train: str, test: str) -> dict[str, Split]:
    """Both splits of what was `found`; a class is called what its folder is called.

    Row n of a split takes turns through the classes, so that a limit keeps all of them.
    """
    return {split: _split(root, images, folder) for split, folder in (("train", train), ("test", test))}


def _split(root: Path, images: Sequence[str], folder: str) -> Split:
    paths = _in_turns(sorted(name for name in images if name.startswith(f"{folder}/")))
    return Split(FileImages(root, tuple(paths)), [_class(path) for path in paths])


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
