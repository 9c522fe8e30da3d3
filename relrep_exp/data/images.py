"""Labelled images: a data set of the hub, or a folder of the user's in one of several formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.views import IMAGE
from relrep_exp.data import hub, idx, image_folders, image_tables
from relrep_exp.data.class_labels import Classes, class_numbers
from relrep_exp.data.image_samples import Joined, Split
from relrep_exp.data.manifest import manifest, names_below
from relrep_exp.data.repos import dataset_repo
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import settings
from relrep_exp.errors import Problem, UserError, user_error

if TYPE_CHECKING:
    from relrep_exp.config.schema import ImagesData
    from relrep_exp.data.hub import Repo


@dataclass(frozen=True)
class _Found:
    """A folder of images, its format recognised.

    Attributes:
        files: what the data set is made of, relative to the folder.
        read: reads both splits.
    """

    files: Sequence[str]
    read: Callable[[], Mapping[str, Split]]


def identity(config: ImagesData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """The settings, with the commit of the repository or the digest of the folder's files.

    Raises:
        UserError: there is no such folder, repository or view.
    """
    _check(config, views)
    told = settings(config, "repo", "revision")
    if config.root is None:
        what: dict[str, Any] = {"repo": config.repo, "commit": hub.commit(_repo(config, views), offline)}
    else:
        root = _root(config)
        what = {"root": manifest(root, _recognised(root, config).files)}
    return {IMAGE: {**told, **what}}


def load(config: ImagesData, views: Sequence[str], offline: bool) -> Samples:
    """Images and labels, the training split first.

    Labels are numbered 0 .. C-1 in sorted order over the whole training split, also where `data.limit` takes
    the first samples only, so a trial has the classes of the real run.

    Raises:
        UserError: the files are damaged or not what the configuration says; every problem.
    """
    _check(config, views)
    folder = hub.snapshot(_repo(config, views), offline) if config.root is None else _root(config)
    splits = _recognised(folder, config).read()
    classes, problems = class_numbers(splits["train"].labels, splits["test"].labels, config.limit)
    if problems:
        raise UserError(problems)
    return Samples({IMAGE: _view(splits, classes)}, parallel=True, notes=_notes(classes, folder))


def _check(config: ImagesData, views: Sequence[str]) -> None:
    problems = [
        Problem(f"data={config.name} has no view {view!r}: it holds images", "choose a zoo of image encoders")
        for view in views
        if view != IMAGE
    ]
    if config.root is None and config.repo is None:
        problems.append(
            Problem(f"data={config.name} names no data set", "data.repo=OWNER/NAME or data.root=DIR")
        )
    if problems:
        raise UserError(problems)


def _repo(config: ImagesData, views: Sequence[str]) -> Repo:
    repo = dataset_repo(config, views)
    assert repo is not None, "a folder of the user's own needs no repository"
    return repo


def _root(config: ImagesData) -> Path:
    root = Path(config.root or "").expanduser()
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise user_error(f"data.root={config.root}: {what}", f"give the folder that holds {config.name}")
    return root


def _recognised(root: Path, config: ImagesData) -> _Found:
    """The first format that fits: idx files, tables, image folders."""
    if paths := idx.found(root):
        return _Found([path.name for path in paths], lambda: idx.read(root))
    names = names_below(root)
    if (tables := image_tables.find(root, names, config)) is not None:
        used = [path.relative_to(root).as_posix() for paths in tables.files.values() for path in paths]
        files = [*used, *image_folders.images_of(names)]  # a table may name them
        return _Found(files, lambda: image_tables.read(tables, root, config))
    if files := image_folders.found(names, config.train, config.test):
        return _Found(files, lambda: image_folders.read(root, files, config.train, config.test))
    raise UserError(_not_recognised(root, config))


def _not_recognised(root: Path, config: ImagesData) -> Problem:
    there = sorted(path.name for path in root.iterdir())
    holds = f"it holds {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}" if there else "it is empty"
    where = f"data.root={config.root}" if config.root is not None else f"{config.repo} in {root}"
    looked = (
        f"looked for idx files ({idx.LOOKED_FOR}; each may end in .gz), for tables ({config.train} and "
        f"{config.test}, each .parquet, .csv, .tsv or .jsonl, in one file or numbered), and for image "
        f"folders ({config.train}/CLASS/*.png and {config.test}/CLASS/*.png)"
    )
    return Problem(f"{where}: no images in a known format; {holds}", looked)


def _view(splits: Mapping[str, Split], classes: Classes) -> View:
    import torch

    counts = (len(classes.train), len(classes.test))
    samples = Joined((splits["train"].samples, splits["test"].samples), counts)
    labels = torch.tensor([*classes.train, *classes.test], dtype=torch.int64)
    return View(samples, torch.arange(len(labels)) < counts[0], labels)


def _notes(classes: Classes, folder: Path) -> dict[str, Any]:
    notes = {
        "samples": {"train": len(classes.train), "test": len(classes.test)},
        "classes": len(classes.names),
        "licence": _licence(folder / "README.md"),
    }
    return {key: value for key, value in notes.items() if value is not None}


def _licence(card: Path) -> str | None:
    """What the data set's card on the hub says in its header; None where there is no card."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    header = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    found = re.search(r"^license:\s*(?:-\s*)?(\S+)", header, re.MULTILINE)
    return found[1] if found else None
