"""SIB-200: the same sentences in every language, each with one of seven topics; rows join on `index_id`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
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
    found = origin.identities(
        config, views, offline, partial(origin.table_files, config, (*config.train, *config.test))
    )
    told = settings(config, "languages", "repo", "revision")
    return {view: {**told, **parts} for view, parts in found.items()}


def load(config: Sib200Data, views: Sequence[str], offline: bool) -> Samples:
    """Read sentences and topics, the training splits first, by id; topics are numbered in sorted order.

    Raises:
        UserError: tables are damaged, or the languages do not hold the same ids with the same topics.
    """
    codes = origin.codes(config, views)
    root = origin.folder(config, views, offline)
    splits = list(dict.fromkeys((*config.train, *config.test)))
    jobs = {(view, split): partial(_read, config, split, root, view) for view in codes for split in splits}
    read = every(jobs)
    repeats = [p for view in codes for p in _repeats(view, {split: read[view, split] for split in splits})]
    train, test = (
        {view: dict(pair for split in part for pair in read[view, split]) for view in codes}
        for part in (config.train, config.test)
    )
    problems = [*repeats, *_disagreements(train), *_disagreements(test)] or _topic_problems(train, test)
    if problems:
        raise UserError(problems)
    return _samples(train, test)


def _read(config: Sib200Data, split: str, root: Path, view: str) -> list[tuple[str, tuple[str, str]]]:
    """The rows of one language and split: (index_id, (topic, sentence))."""
    paths = origin.table_files(config, (split,), root, view)
    table = tables.read(paths, dict.fromkeys(COLUMNS, "name the columns as SIB-200 does"))
    cells = every({name: partial(table.require, name) for name in COLUMNS})
    ids, topics, texts = (cells[name] for name in COLUMNS)
    return list(zip(ids, zip(topics, texts, strict=True), strict=True))


def _repeats(view: str, read: Mapping[str, Sequence[tuple[str, Any]]]) -> list[Problem]:
    """Ids that a language has twice, in one split or in two."""
    counts = Counter(row for rows in read.values() for row, _ in rows)
    twice = [row for row, count in counts.items() if count > 1]
    return (
        [Problem(f"{view}: index_id {_first(twice)} more than once in {', '.join(read)}", AGAIN)]
        if twice
        else []
    )


def _disagreements(part: Mapping[str, Rows]) -> list[Problem]:
    """Ids and topics in which languages differ from the first."""
    first, *others = part
    problems = []
    for view in others:
        if alone := sorted(part[view].keys() ^ part[first].keys()):
            what = f"{first} and {view}: index_id {_first(alone)} in one of them only"
            problems.append(Problem(what, AGAIN))
        both = part[view].keys() & part[first].keys()
        if other := [row for row in both if part[view][row][0] != part[first][row][0]]:
            what = f"{first} and {view}: index_id {_first(other)} with another category in each"
            problems.append(Problem(what, AGAIN))
    return problems


def _topic_problems(train: Mapping[str, Rows], test: Mapping[str, Rows]) -> list[Problem]:
    """Of the topics, which are the same in all languages."""
    learnt, asked = ({topic for topic, _ in next(iter(part.values())).values()} for part in (train, test))
    if len(learnt) < 2:
        return [Problem(f"every training sentence has the category {min(learnt)!r}", "give at least two")]
    if new := asked - learnt:
        what = f"category {_first(new)} occurs in data.test and never in data.train"
        return [Problem(what, "put splits with every category into data.train=[...]")]
    return []


def _first(items: Iterable[str]) -> str:
    found = tables.in_order(items)
    return ", ".join(found[:5]) + (f", ... ({len(found)} in all)" if len(found) > 5 else "")


def _samples(train: Mapping[str, Rows], test: Mapping[str, Rows]) -> Samples:
    import torch

    one = next(iter(train))
    ids = [*tables.in_order(train[one]), *tables.in_order(test[one])]
    topics = tables.in_order(topic for topic, _ in train[one].values())
    rows = {view: {**train[view], **test[view]} for view in train}
    labels = torch.tensor([topics.index(rows[one][row][0]) for row in ids])
    is_train = torch.arange(len(ids)) < len(train[one])
    views = {view: View([rows[view][row][1] for row in ids], is_train, labels) for view in train}
    notes = {"classes": topics, "rows": {"train": len(train[one]), "test": len(test[one])}}
    return Samples(views, parallel=True, notes=notes)
