"""Parallel sentences from a data set with one subset for each language: XNLI, PAWS-X, SIB-200."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.pairs import paired
from relrep_exp.errors import Problem, UserError, every, user_error

if TYPE_CHECKING:
    from relrep_exp.config.schema import SubsetsParallel
    from relrep_exp.data.samples import Samples

Tables = Mapping[str, tables.Table]  # language -> its table of one split


def identity(config: SubsetsParallel, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings and the commit or the files of all of these languages, in order.

    A sentence that one language lacks goes in all, so what a language's rows are depends on the others.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    found = origin.identities(config, views, offline, partial(origin.table_files, config, config.splits))
    told = settings(config, "languages", "repo", "revision")
    return {view: {**told, **parts} for view, parts in origin.joined(found).items()}


def load(config: SubsetsParallel, views: Sequence[str], offline: bool) -> Samples:
    """Read the sentences of all columns, one column after the other, of each split.

    With `parallel.key`, rows of a split belong together that have the same key in every language; without
    one, row n is the same everywhere.

    Raises:
        UserError: tables are damaged, lack a column, or cannot be aligned; every problem.
    """
    codes = origin.codes(config, views)
    root = origin.folder(config, views, offline)
    jobs = {
        (view, split): partial(_read, config, split, root, view) for split in config.splits for view in codes
    }
    read = every(jobs)
    splits = {split: {view: read[view, split] for view in codes} for split in config.splits}
    rows = every({split: partial(_aligned, config, split, splits[split]) for split in splits})
    texts: dict[str, list[str | None]] = {view: [] for view in codes}
    for split, view, column in product(splits, codes, config.columns):
        cells = splits[split][view].columns[column]
        texts[view] += [cells[row] for row in rows[split][view]]
    unpaired = sum(
        len(table) - len(rows[split][view]) for split in splits for view, table in splits[split].items()
    )
    return paired(config, texts, {"rows_without_partner": unpaired} if unpaired else {})


def _read(config: SubsetsParallel, split: str, root: Path, view: str) -> tables.Table:
    columns = dict.fromkeys(config.columns, "set parallel.columns=[COLUMN,COLUMN]")
    if config.key is not None:
        columns[config.key] = "set parallel.key=COLUMN"
    return tables.read(origin.table_files(config, (split,), root, view), columns)


def _aligned(config: SubsetsParallel, split: str, found: Tables) -> Mapping[str, Sequence[int]]:
    return _by_row(split, found) if config.key is None else _by_key(config.key, split, found)


def _by_row(split: str, found: Tables) -> dict[str, range]:
    """Language -> the rows that belong together: all of them."""
    sizes = {view: len(table) for view, table in found.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{view} {size}" for view, size in sizes.items())
        what = f"the split {split!r} has another number of rows in each language: {told}"
        raise user_error(what, "give tables whose row n is the same, or parallel.key=COLUMN to join on")
    return {view: range(size) for view, size in sizes.items()}


def _by_key(key: str, split: str, found: Tables) -> dict[str, list[int]]:
    """Language -> the rows that belong together: those whose key all languages have, in the first's order."""
    keys = every({view: partial(_keys, key, split, view, table) for view, table in found.items()})
    first = next(iter(keys.values()))
    common = [value for value in first if all(value in rows for rows in keys.values())]
    return {view: [rows[value] for value in common] for view, rows in keys.items()}


def _keys(key: str, split: str, view: str, table: tables.Table) -> dict[str, int]:
    """Key -> row."""
    cells = table.require(key)
    if twice := [value for value, count in Counter(cells).items() if count > 1]:
        shown = ", ".join(twice[:5]) + (f", ... ({len(twice)} in all)" if len(twice) > 5 else "")
        what = f"{view}, split {split!r}: parallel.key={key} has {shown} more than once"
        raise UserError(Problem(what, "name a column whose values are all different: parallel.key=COLUMN"))
    return {value: row for row, value in enumerate(cells)}
