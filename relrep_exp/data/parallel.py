"""Parallel sentences: subsets of a data set as in XNLI and PAWS-X, a table of the user's, or text files.

Each source gives aligned sentences; what one language lacks goes in all, and a share is held out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from relrep_exp.config.schema import FilesParallel, SubsetsParallel, TableParallel
from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.textfile import lines
from relrep_exp.errors import every, nearest, user_error
from relrep_exp.store.inputs import expanded, input_digest, is_file

Parallel: TypeAlias = SubsetsParallel | TableParallel | FilesParallel
Texts = Mapping[str, Sequence[str | None]]  # language -> its sentences; row n is the same one everywhere

FEWEST = 20
UNTRANSLATED = ("", "NS")  # NS is how PAWS-X marks a sentence without a translation


def identity(config: Parallel, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell the settings and the commit or the files of all of these languages, in order.

    A sentence that one language lacks goes in all, so what a language's rows are depends on the others.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    found: dict[str, dict[str, Any]]
    if isinstance(config, TableParallel):
        digest = input_digest(_table(config))
        found = {view: {"column": c, "sha256": digest} for view, c in origin.codes(config, views).items()}
    elif isinstance(config, FilesParallel):
        found = origin.identities(config, views, offline, lambda root, view: [_file(config, root, view)])
    else:
        found = origin.identities(config, views, offline, partial(origin.table_files, config, config.splits))
    told = settings(config, "languages", "repo", "revision")
    everyone = [dict(parts) for parts in found.values()]
    return {view: {**told, **parts, "joined": everyone} for view, parts in found.items()}


def load(config: Parallel, views: Sequence[str], offline: bool) -> Samples:
    """Read the sentences of these languages.

    Raises:
        UserError: files are missing, damaged, not UTF-8 or not parallel; every problem.
    """
    codes = origin.codes(config, views)
    if isinstance(config, TableParallel):
        columns = {code: f"set parallel.languages.{view}=COLUMN" for view, code in codes.items()}
        table = tables.read([_table(config)], columns)
        return _paired(config, {view: table.columns[code] for view, code in codes.items()}, {})
    root = origin.folder(config, views, offline)
    if isinstance(config, SubsetsParallel):
        return _paired(config, *_of_subsets(config, list(codes), root))
    read = every({view: partial(_sentences, config, root, view) for view in codes})
    if len({len(sentences) for sentences in read.values()}) > 1:
        told = ", ".join(f"{codes[view]} {len(sentences)}" for view, sentences in read.items())
        remedy = f"line k has to be the same sentence in every file; {_first_gap(read, codes)}"
        raise user_error(f"the files differ in their number of lines: {told}", remedy)
    return _paired(config, read, {})


def _table(config: TableParallel) -> Path:
    path = expanded(config.path)
    if not is_file(path):
        what = "it is a folder" if path.exists() else "there is no such file"
        remedy = "give a .csv, .tsv, .jsonl or .parquet with a column for each language"
        raise user_error(f"parallel.path={config.path}: {what}", remedy)
    return path


def _file(config: FilesParallel, root: Path, view: str) -> Path:
    """The text file of a language."""
    path, key = root / config.languages[view], f"parallel.languages.{view}"
    if is_file(path):
        return path
    if path.is_dir():
        raise user_error(f"{path} is a folder", f"name a text file in it: {key}=FILE")
    there = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    remedy = f"; {nearest(path.name, there)}" if there else ""
    raise user_error(f"{path}: there is no such file", f"set {key}=FILE{remedy}")


def _sentences(config: FilesParallel, root: Path, view: str) -> list[str]:
    """The lines of a file; empty ones at its end are none."""
    found = [line.rstrip("\r\n") for line in lines(_file(config, root, view))]
    while found and not found[-1].strip():
        found.pop()
    return found


def _first_gap(read: Mapping[str, Sequence[str]], codes: Mapping[str, str]) -> str:
    """The first line that is empty in some files alone, where they may go apart; else where one ends."""
    for number, row in enumerate(zip(*read.values(), strict=False), start=1):
        empty = [codes[view] for view, line in zip(read, row, strict=True) if not line.strip()]
        if 0 < len(empty) < len(row):
            return f"look at line {number}, which is empty in {', '.join(empty)} only"
    short, long = (pick(read, key=lambda view: len(read[view])) for pick in (min, max))
    last, more = len(read[short]), read[long][len(read[short])]
    return f"{codes[short]} ends with line {last}, and {codes[long]} goes on: {more[:60]!r}"


def _of_subsets(config: SubsetsParallel, views: Sequence[str], root: Path) -> tuple[Texts, dict[str, Any]]:
    """The sentences of all columns, one column after the other, of each split, and what to note of them."""
    columns = dict.fromkeys(config.columns, "set parallel.columns=[COLUMN,COLUMN]")
    if config.key is not None:
        columns[config.key] = "set parallel.key=COLUMN"

    def read(split: str, view: str) -> tables.Table:
        return tables.read(origin.table_files(config, (split,), root, view), columns)

    found = every({where: partial(read, *where) for where in product(config.splits, views)})
    splits = {split: {view: found[split, view] for view in views} for split in config.splits}
    rows = every({split: partial(_aligned, config.key, split, splits[split]) for split in splits})
    texts: dict[str, list[str | None]] = {view: [] for view in views}
    for split, view, column in product(splits, views, config.columns):
        cells = splits[split][view].columns[column]
        texts[view] += [cells[row] for row in rows[split][view]]
    unpaired = sum(len(table) - len(rows[split][view]) for (split, view), table in found.items())
    return texts, {"rows_without_partner": unpaired} if unpaired else {}


def _aligned(key: str | None, split: str, found: Mapping[str, tables.Table]) -> Mapping[str, Sequence[int]]:
    """Language -> the rows that belong together: those of one key, in the first's order, or of one number."""
    if key is not None:
        keys = every({view: partial(_keys, key, split, view, table) for view, table in found.items()})
        first = next(iter(keys.values()))
        common = [value for value in first if all(value in rows for rows in keys.values())]
        return {view: [rows[value] for value in common] for view, rows in keys.items()}
    sizes = {view: len(table) for view, table in found.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{view} {size}" for view, size in sizes.items())
        what = f"the split {split!r} has another number of rows in each language: {told}"
        raise user_error(what, "give tables whose row n is the same, or parallel.key=COLUMN to join on")
    return {view: range(size) for view, size in sizes.items()}


def _keys(key: str, split: str, view: str, table: tables.Table) -> dict[str, int]:
    """Key -> row."""
    cells = table.require(key)
    if twice := [value for value, count in Counter(cells).items() if count > 1]:
        what = f"{view}, split {split!r}: parallel.key={key} has {tables.some(twice)} more than once"
        raise user_error(what, "name a column whose values are all different: parallel.key=COLUMN")
    return {value: row for row, value in enumerate(cells)}


def _paired(config: Parallel, texts: Texts, notes: Mapping[str, Any]) -> Samples:
    """The sentences that every language has, each once, with a held-out share.

    Args:
        config: with `limit` (drawn by `split_seed`, in the source's order), `test_share` and `split_seed`.
        texts: the first language says which sentences repeat.
        notes: what the reader has to say about them.

    Raises:
        UserError: fewer than `FEWEST` are left, or the share holds out fewer than two.
    """
    import numpy as np
    import torch

    here, first = origin.group(config), next(iter(texts.values()))
    aligned = enumerate(zip(*texts.values(), strict=True))
    whole = [n for n, row in aligned if all(t and t.strip() not in UNTRANSLATED for t in row)]
    once = sorted({first[row]: row for row in reversed(whole)}.values())  # the first row of each
    mixed = np.random.RandomState(config.split_seed).permutation(once)[: config.limit]
    held_out = set(mixed[: round(config.test_share * len(mixed))].tolist())
    rows = sorted(mixed.tolist())
    counts = {"without_translation": len(first) - len(whole), "repeated": len(whole) - len(once)}
    told = {**notes, "pairs": len(rows), **{name: count for name, count in counts.items() if count}}
    if len(rows) < FEWEST:
        shown = ", ".join(f"{name} {value}" for name, value in told.items())
        what = f"{here}={config.name}: {len(rows)} pairs are too few ({shown})"
        raise user_error(what, f"give at least {FEWEST} sentences that every language has")
    train = len(rows) - len(held_out)
    if min(train, len(held_out)) < 2:
        what = f"{here}.test_share={config.test_share}: {train} of {len(rows)} pairs are left to learn from"
        raise user_error(what, "choose a share that puts at least two on either side")
    is_train = torch.tensor([row not in held_out for row in rows])
    views = {view: View([str(column[row]) for row in rows], is_train) for view, column in texts.items()}
    return Samples(views, parallel=True, notes=told)
