"""SIB-200: the same sentences in every language, each with one of seven topics; rows join on `index_id`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.errors import Problem, UserError, every

if TYPE_CHECKING:
    from relrep_exp.config.schema import Sib200Data

COLUMNS = ("index_id", "category", "text")
AGAIN = "copy the tables of every language again, all from the same release"

Rows = dict[str, tuple[str, str]]  # index_id -> topic and sentence


def identity(config: Sib200Data, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings and, of each language alone, the commit or the files.

    Rows are in the order of their ids, and every language must have all of them; so the other languages
    change nothing about this one.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    files = partial(origin.table_files, config, (*config.train, *config.test))
    found = origin.identities(config, views, offline, files)
    told = settings(config, "languages", "repo", "revision")
    return {view: {**told, **parts} for view, parts in found.items()}


def load(config: Sib200Data, views: Sequence[str], offline: bool) -> Samples:
    """Read sentences and topics, the training splits first, by id; topics are numbered in sorted order.

    Raises:
        UserError: tables are damaged, or the languages do not hold the same ids with the same topics.
    """
    import torch

    codes = origin.codes(config, views)
    root = origin.folder(config, views, offline)
    splits = origin.splits_of(config)
    read = every({where: partial(_read, config, root, *where) for where in product(codes, splits)})
    problems = []
    for view in codes:
        counts = Counter(row for split in splits for row, _ in read[view, split])
        if twice := [row for row, count in counts.items() if count > 1]:
            what = f"{view}: index_id {_first(twice)} more than once in {', '.join(splits)}"
            problems.append(Problem(what, AGAIN))
    train, test = (
        {view: dict(pair for split in part for pair in read[view, split]) for view in codes}
        for part in (config.train, config.test)
    )
    problems += [*_disagreements(train), *_disagreements(test)]
    one = next(iter(train))
    learnt, asked = ({topic for topic, _ in part[one].values()} for part in (train, test))
    if not problems and len(learnt) < 2:
        what = f"every training sentence has the category {min(learnt)!r}"
        problems.append(Problem(what, "give at least two"))
    elif not problems and (new := asked - learnt):
        what = f"category {_first(new)} occurs in data.test and never in data.train"
        problems.append(Problem(what, "put splits with every category into data.train=[...]"))
    if problems:
        raise UserError(problems)

    ids = [*tables.in_order(train[one]), *tables.in_order(test[one])]
    rows = {view: {**train[view], **test[view]} for view in train}
    topics = tables.in_order(learnt)
    labels = torch.tensor([topics.index(rows[one][row][0]) for row in ids])
    is_train = torch.arange(len(ids)) < len(train[one])
    views_of = {view: View([rows[view][row][1] for row in ids], is_train, labels) for view in train}
    notes = {"classes": topics, "rows": {"train": len(train[one]), "test": len(test[one])}}
    return Samples(views_of, parallel=True, notes=notes)


def _read(config: Sib200Data, root: Path, view: str, split: str) -> list[tuple[str, tuple[str, str]]]:
    """The rows of one language and split: (index_id, (topic, sentence))."""
    paths = origin.table_files(config, (split,), root, view)
    told = dict.fromkeys(COLUMNS, "name the columns as SIB-200 does")
    ids, topics, texts = tables.read(paths, told).whole(COLUMNS).values()
    return list(zip(ids, zip(topics, texts, strict=True), strict=True))


def _disagreements(part: Mapping[str, Rows]) -> list[Problem]:
    """Ids and topics in which languages differ from the first."""
    first, *others = part
    problems = []
    for view in others:
        if alone := part[view].keys() ^ part[first].keys():
            what = f"{first} and {view}: index_id {_first(alone)} in one of them only"
            problems.append(Problem(what, AGAIN))
        both = part[view].keys() & part[first].keys()
        if other := [row for row in both if part[view][row][0] != part[first][row][0]]:
            what = f"{first} and {view}: index_id {_first(other)} with another category in each"
            problems.append(Problem(what, AGAIN))
    return problems


def _first(items: Iterable[str]) -> str:
    return tables.some(tables.in_order(items))
