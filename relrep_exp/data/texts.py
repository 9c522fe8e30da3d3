"""Labelled texts with a table for each language and split; rows of two languages are not the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import Problem, UserError, every

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.config.schema import TextsData

STARS = ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5])
LIMIT_SEED = 0  # which texts data.limit keeps is part of the data, not of a run


@dataclass(frozen=True)
class Labelled:
    """The texts of one language and split, and the label of each as the table spells it."""

    texts: list[str]
    labels: list[str]

    def at(self, rows: Sequence[int]) -> Labelled:
        """Some of them."""
        return Labelled([self.texts[row] for row in rows], [self.labels[row] for row in rows])


Parts = dict[tuple[str, str], Labelled]  # (view, "train" or "test") -> its texts


def identity(config: TextsData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings and, of each language alone, the commit or the files: none changes another's rows.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    found = origin.identities(
        config, views, offline, partial(origin.table_files, config, (config.train, config.test))
    )
    told = settings(config, "languages", "repo", "revision")
    return {view: {**told, **parts} for view, parts in found.items()}


def load(config: TextsData, views: Sequence[str], offline: bool) -> Samples:
    """Read texts and labels, the training split first.

    Labels are numbered in sorted order over the training texts of all languages, which have the same classes;
    so a number means the same in each. With `data.labels=coarse` the middle one of five classes is left out,
    and the two above it are 1, the two below it 0. `data.limit` keeps that many texts of each language and
    split, drawn with a fixed seed: files may be sorted by label, where the first ones are of one class.

    All encoders of one language read the same rows, which are parallel then.

    Raises:
        UserError: tables are damaged, lack a column, or their classes do not fit; every problem.
    """
    codes = origin.codes(config, views)
    root = origin.folder(config, views, offline)
    splits = {"train": config.train, "test": config.test}
    parts: Parts = every(
        {
            (view, split): partial(_read, config, name, root, view)
            for view in codes
            for split, name in splits.items()
        }
    )
    kept = {where: _limited(part, config.limit) for where, part in _relabelled(config, parts).items()}
    classes = tables.in_order(_labels(kept, "train"))
    if problems := _class_problems(config, kept, classes):
        raise UserError(problems)
    numbers = {label: number for number, label in enumerate(classes)}
    found = {view: _view(kept[view, "train"], kept[view, "test"], numbers) for view in codes}
    return Samples(found, parallel=len(found) == 1, notes=_notes(kept, classes))


def _read(config: TextsData, split: str, root: Path, view: str) -> Labelled:
    texts = dict.fromkeys(config.text, "set data.text=COLUMN, or [COLUMN,COLUMN]")
    columns = {**texts, config.label: "set data.label=COLUMN"}
    table = tables.read(origin.table_files(config, (split,), root, view), columns)
    cells = every({name: partial(table.require, name) for name in columns})
    rows = zip(*(cells[name] for name in config.text), strict=True)
    return Labelled([". ".join(filter(None, row)) for row in rows], cells[config.label])


def _relabelled(config: TextsData, parts: Parts) -> Parts:
    """With data.labels=coarse: without the middle class, and 0 below it, 1 above it."""
    if config.labels == "fine":
        return parts
    found = tables.in_order({label for part in parts.values() for label in part.labels})
    scale = next((stars for stars in STARS if found == [str(star) for star in stars]), None)
    if scale is None:
        shown = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
        what = f"data.labels=coarse: data.label={config.label} holds {shown}"
        raise UserError(Problem(what, "coarse needs 0 to 4, or 1 to 5; for other classes: data.labels=fine"))
    names = {str(star): str(int(star > scale[2])) for star in scale if star != scale[2]}
    return {where: _renamed(part, names) for where, part in parts.items()}


def _renamed(part: Labelled, names: Mapping[str, str]) -> Labelled:
    kept = part.at([row for row, label in enumerate(part.labels) if label in names])
    return Labelled(kept.texts, [names[label] for label in kept.labels])


def _limited(part: Labelled, limit: int | None) -> Labelled:
    import numpy as np

    if limit is None or limit >= len(part.labels):
        return part
    drawn = np.random.RandomState(LIMIT_SEED).permutation(len(part.labels))[:limit]
    return part.at(sorted(drawn.tolist()))


def _labels(parts: Parts, split: str) -> set[str]:
    return {label for (_, name), part in parts.items() if name == split for label in part.labels}


def _class_problems(config: TextsData, parts: Parts, classes: Sequence[str]) -> list[Problem]:
    limited = "" if config.limit is None else f", or raise data.limit={config.limit}"
    if len(classes) < 2:
        what = (
            f"data={config.name}: every training label is {classes[0]!r}" if classes else "no training rows"
        )
        return [Problem(what, f"give texts of at least two classes, or set data.label=COLUMN{limited}")]
    problems = []
    for (view, split), part in parts.items():
        here = set(part.labels)
        if not part.texts:
            problems.append(Problem(f"{view}: the split {split!r} has no texts", f"give it some{limited}"))
        elif split == "train" and (lost := set(classes) - here):
            what = f"{view}: no training text has the label {_first(lost)}, which other languages have"
            problems.append(Problem(what, f"give every language the same classes{limited}"))
        elif split == "test" and (new := here - set(classes)):
            what = f"{view}: no training text has the label {_first(new)}, which test texts have"
            problems.append(Problem(what, f"remove these texts, or train on some{limited}"))
    return problems


def _first(labels: set[str]) -> str:
    return ", ".join(tables.in_order(labels)[:5])


def _view(train: Labelled, test: Labelled, numbers: Mapping[str, int]) -> View:
    import torch

    labels: Tensor = torch.tensor([numbers[label] for label in train.labels + test.labels])
    is_train = torch.arange(len(labels)) < len(train.labels)
    return View(train.texts + test.texts, is_train, labels)


def _notes(kept: Parts, classes: Sequence[str]) -> dict[str, Any]:
    views = dict.fromkeys(view for view, _ in kept)
    notes: dict[str, Any] = {
        "classes": list(classes),
        "rows": {view: {s: len(kept[view, s].texts) for s in ("train", "test")} for view in views},
    }
    empty = {view: [not t.strip() for s in ("train", "test") for t in kept[view, s].texts] for view in views}
    if found := {view: sum(rows) for view, rows in empty.items() if any(rows)}:
        notes["empty_texts"] = found
    return notes
