"""Labelled images: a data set of the hub, or a folder of the user's in one of several formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data import hub, image_files, image_tables, origin
from relrep_exp.data.image_samples import Joined, Split
from relrep_exp.data.manifest import manifest, names_below, settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import Problem, UserError

if TYPE_CHECKING:
    from relrep_exp.config.schema import ImagesData

Label = int | str


def identity(config: ImagesData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings, with the commit of the repository or the digest of the folder's files.

    Raises:
        UserError: there is no such folder, repository or view.
    """
    _check(config, views)
    if (repo := origin.repository(config, views)) is not None:
        return {IMAGE: {**settings(config, "revision"), "commit": hub.commit(repo, offline)}}
    root = origin.local_folder(config)
    files, _ = _recognised(root, config)
    return {IMAGE: {**settings(config, "repo", "revision"), "root": manifest(root, files)}}


def load(config: ImagesData, views: Sequence[str], offline: bool) -> Samples:
    """Read images and labels, the training split first.

    Labels are numbered 0 .. C-1 in sorted order over the whole training split, also where `data.limit` takes
    the first samples only, so a trial has the classes of the real run.

    Raises:
        UserError: the files are damaged or not what the configuration says; every problem.
    """
    import torch

    _check(config, views)
    folder = origin.folder(config, views, offline)
    _, read = _recognised(folder, config)
    splits = read()
    classes, problems = class_numbers(splits["train"].labels, splits["test"].labels, config.limit)
    if problems:
        raise UserError(problems)
    counts = {"train": len(classes.train), "test": len(classes.test)}
    notes: dict[str, Any] = {"samples": counts, "classes": len(classes.names)}
    if (licence := _licence(folder / "README.md")) is not None:
        notes["licence"] = licence
    images = Joined(tuple(splits[split].samples for split in counts), tuple(counts.values()))
    labels = torch.tensor([*classes.train, *classes.test], dtype=torch.int64)
    view = View(images, torch.arange(len(images)) < counts["train"], labels)
    return Samples({IMAGE: view}, parallel=True, notes=notes)


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


def _recognised(root: Path, config: ImagesData) -> tuple[Sequence[str], Callable[[], Mapping[str, Split]]]:
    """The files of the first format that fits, relative to the folder, and what reads both splits of them."""
    if paths := image_files.idx_files(root):
        return [path.name for path in paths], lambda: image_files.read_idx(root)
    names = names_below(root)
    if (found := image_tables.find(root, names, config)) is not None:
        used = [path.relative_to(root).as_posix() for paths in found.values() for path in paths]
        files = [*used, *image_files.images_of(names)]  # a table may name them
        return files, lambda: image_tables.read(found, root, config)
    if files := image_files.class_folders(names, config.train, config.test):
        return files, lambda: image_files.read_folders(root, files, config.train, config.test)
    raise UserError(_not_recognised(root, config))


def _not_recognised(root: Path, config: ImagesData) -> Problem:
    there = sorted(path.name for path in root.iterdir())
    holds = f"it holds {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}" if there else "it is empty"
    where = f"data.root={config.root}" if config.root is not None else f"{config.repo} in {root}"
    looked = (
        f"looked for idx files ({image_files.IDX_FILES}; each may end in .gz), for tables ({config.train} "
        f"and {config.test}, each .parquet, .csv, .tsv or .jsonl, in one file or numbered), and for image "
        f"folders ({config.train}/CLASS/*.png and {config.test}/CLASS/*.png)"
    )
    return Problem(f"{where}: no images in a known format; {holds}", looked)


def _licence(card: Path) -> str | None:
    """What the data set's card on the hub says in its header; None where there is no card."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    header = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    found = re.search(r"^license:\s*(?:-\s*)?(\S+)", header, re.MULTILINE)
    return found[1] if found else None


@dataclass(frozen=True)
class Classes:
    """Class numbers 0 .. C-1 of both splits, and what the classes are called.

    Attributes:
        train: one per training sample.
        test: one per test sample.
        names: the labels of the training split, sorted; a class number is a place in this list.
    """

    train: Sequence[int]
    test: Sequence[int]
    names: Sequence[Label]


def class_numbers(
    train: Sequence[Any], test: Sequence[Any], limit: int | None = None
) -> tuple[Classes, list[Problem]]:
    """Number the labels in sorted order over the whole training split; `limit` then keeps the first of each.

    Returns:
        The classes, and everything that is wrong with the labels; the classes are empty if anything is.
    """
    problems = _unusable("training", train) + _unusable("test", test)
    if not problems:
        names = sorted(set(train))
        problems = _unlearnable(train, test, names, limit)
    if problems:
        return Classes([], [], []), problems
    number = {name: k for k, name in enumerate(names)}
    return Classes([number[y] for y in train[:limit]], [number[y] for y in test[:limit]], names), []


def _unusable(split: str, labels: Sequence[Any]) -> list[Problem]:
    """Labels have to be integers or text, all of one kind and none missing."""
    if not len(labels):
        return [
            Problem(f"the {split} split is empty", "give it samples, or name another: data.train, data.test")
        ]
    remedy = "give every sample an integer or a name as its label: data.label=COLUMN"
    for row, label in enumerate(labels):
        if not isinstance(label, int | str) or label == "":
            return [Problem(f"the label of {split} sample {row} is {label!r}", remedy)]
    if len({isinstance(label, str) for label in labels}) == 2:
        return [Problem(f"some labels of the {split} split are numbers and some are text", remedy)]
    return []


def _unlearnable(
    train: Sequence[Label], test: Sequence[Label], names: Sequence[Label], limit: int | None
) -> list[Problem]:
    if len(set(train[:limit])) < 2:
        only = f"all training labels are {train[0]!r}"
        if len(names) < 2:
            return [Problem(only, "give samples of at least two classes")]
        return [Problem(f"{only} in the first {limit} samples", "raise data.limit")]
    known = set(names)
    if unseen := sorted({label for label in test if label not in known}, key=str):
        some = ", ".join(repr(label) for label in unseen[:5])
        what = (
            f"{len(unseen)} test labels never occur in training: {some}{', ...' if len(unseen) > 5 else ''}"
        )
        return [Problem(what, "give training samples of every class, or remove these test samples")]
    return []
