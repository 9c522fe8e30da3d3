"""Labelled texts with a table for each language and split; rows of two languages are not the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import Problem, UserError, every, user_error

if TYPE_CHECKING:
    from relrep_exp.config.schema import TextsData

STARS = ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5])
LIMIT_SEED = 0  # which texts data.limit keeps is part of the data, not of a run


class Row(NamedTuple):
    """A text, and its label as the table spells it."""

    text: str
    label: str


Parts = dict[tuple[str, str], list[Row]]  # (view, "train" or "test") -> its rows


def identity(config: TextsData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings and, of each language alone, the commit or the files: none changes another's rows.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    files = partial(origin.table_files, config, (config.train, config.test))
    found = origin.identities(config, views, offline, files)
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
    import torch

    codes = origin.codes(config, views)
    root = origin.folder(config, views, offline)
    jobs = {where: partial(_read, config, root, *where) for where in product(codes, ("train", "test"))}
    parts: Parts = every(jobs)
    if config.labels == "coarse":
        names = _coarse(config, parts)
        for where, rows in parts.items():
            parts[where] = [Row(row.text, names[row.label]) for row in rows if row.label in names]
    parts = {where: _limited(rows, config.limit) for where, rows in parts.items()}
    trained = (row.label for (_, split), rows in parts.items() if split == "train" for row in rows)
    classes = tables.in_order(trained)
    if problems := _class_problems(config, parts, classes):
        raise UserError(problems)
    numbers = {label: number for number, label in enumerate(classes)}
    found, counts, empty = {}, {}, {}
    for view in codes:
        train, test = parts[view, "train"], parts[view, "test"]
        both = train + test
        labels = torch.tensor([numbers[row.label] for row in both])
        found[view] = View([row.text for row in both], torch.arange(len(both)) < len(train), labels)
        counts[view] = {"train": len(train), "test": len(test)}
        if blank := sum(not row.text.strip() for row in both):
            empty[view] = blank
    notes: dict[str, Any] = {"classes": classes, "rows": counts, **({"empty_texts": empty} if empty else {})}
    return Samples(found, parallel=len(found) == 1, notes=notes)


def _read(config: TextsData, root: Path, view: str, part: str) -> list[Row]:
    texts = dict.fromkeys(config.text, "set data.text=COLUMN, or [COLUMN,COLUMN]")
    columns = {**texts, config.label: "set data.label=COLUMN"}
    split = config.train if part == "train" else config.test
    cells = tables.read(origin.table_files(config, (split,), root, view), columns).whole(columns)
    return list(map(Row, tables.joined(cells, config.text), cells[config.label]))


def _coarse(config: TextsData, parts: Parts) -> dict[str, str]:
    """Label -> 0 below the middle class, 1 above it; the middle class has none."""
    found = tables.in_order(row.label for rows in parts.values() for row in rows)
    for scale in STARS:
        if found == [str(star) for star in scale]:
            return {str(star): str(int(star > scale[2])) for star in scale if star != scale[2]}
    shown = ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
    what = f"data.labels=coarse: data.label={config.label} holds {shown}"
    raise user_error(what, "coarse needs 0 to 4, or 1 to 5; for other classes: data.labels=fine")


def _limited(rows: list[Row], limit: int | None) -> list[Row]:
    import numpy as np

    if limit is None or limit >= len(rows):
        return rows
    drawn = np.random.RandomState(LIMIT_SEED).permutation(len(rows))[:limit]
    return [rows[number] for number in sorted(drawn.tolist())]


def _class_problems(config: TextsData, parts: Parts, classes: Sequence[str]) -> list[Problem]:
    limited = "" if config.limit is None else f", or raise data.limit={config.limit}"
    if len(classes) < 2:
        all_one = f"data={config.name}: every training label is {classes[0]!r}" if classes else ""
        remedy = f"give texts of at least two classes, or set data.label=COLUMN{limited}"
        return [Problem(all_one or "no training rows", remedy)]

    def first(labels: Iterable[str]) -> str:
        return ", ".join(tables.in_order(labels)[:5])

    problems = []
    for (view, split), rows in parts.items():
        here = {row.label for row in rows}
        if not rows:
            problems.append(Problem(f"{view}: the split {split!r} has no texts", f"give it some{limited}"))
        elif split == "train" and (lost := set(classes) - here):
            what = f"{view}: no training text has the label {first(lost)}, which other languages have"
            problems.append(Problem(what, f"give every language the same classes{limited}"))
        elif split == "test" and (new := here - set(classes)):
            what = f"{view}: no training text has the label {first(new)}, which test texts have"
            problems.append(Problem(what, f"remove these texts, or train on some{limited}"))
    return problems
