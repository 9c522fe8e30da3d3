"""Parallel sentences of the user's: a table with a column for each language, or a text file for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import origin, tables
from relrep_exp.data.manifest import settings
from relrep_exp.data.pairs import paired
from relrep_exp.data.textfile import lines
from relrep_exp.errors import UserError, every, nearest, user_error
from relrep_exp.store.keys import input_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import FilesParallel, TableParallel
    from relrep_exp.data.samples import Samples


def identity(
    config: TableParallel | FilesParallel, views: Sequence[str], offline: bool
) -> dict[str, dict[str, Any]]:
    """Tell the settings and the files of all of these languages, in order.

    A sentence that one language lacks goes in all, so what a language's rows are depends on the others.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    if config.kind == "table":
        digest = input_digest(_table(config))
        found = {
            view: {"column": code, "sha256": digest} for view, code in origin.codes(config, views).items()
        }
    else:
        found = origin.identities(config, views, offline, partial(_files, config))
    told = settings(config, "languages", "repo", "revision")
    return {view: {**told, **parts} for view, parts in origin.joined(found).items()}


def load(config: TableParallel | FilesParallel, views: Sequence[str], offline: bool) -> Samples:
    """Read the sentences of these languages.

    Raises:
        UserError: files are missing, damaged, not UTF-8 or not parallel; every problem.
    """
    codes = origin.codes(config, views)
    if config.kind == "table":
        return paired(config, _cells(config, codes), {})
    root = origin.folder(config, views, offline)
    read = every({view: partial(_sentences, config, root, view) for view in codes})
    if len({len(sentences) for sentences in read.values()}) > 1:
        raise _unequal(read, codes)
    return paired(config, read, {})


def _table(config: TableParallel) -> Path:
    path = Path(config.path).expanduser()
    if not path.is_file():
        what = "it is a folder" if path.exists() else "there is no such file"
        remedy = "give a .csv, .tsv, .jsonl or .parquet with a column for each language"
        raise user_error(f"parallel.path={config.path}: {what}", remedy)
    return path


def _cells(config: TableParallel, codes: Mapping[str, str]) -> dict[str, list[str | None]]:
    columns = {code: f"set parallel.languages.{view}=COLUMN" for view, code in codes.items()}
    table = tables.read([_table(config)], columns)
    return {view: table.columns[code] for view, code in codes.items()}


def _files(config: FilesParallel, root: Path, view: str) -> list[Path]:
    """The one file of a language."""
    path, key = root / config.languages[view], f"parallel.languages.{view}"
    if path.is_file():
        return [path]
    if path.is_dir():
        raise user_error(f"{path} is a folder", f"name a text file in it: {key}=FILE")
    there = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    remedy = f"; {nearest(path.name, there)}" if there else ""
    raise user_error(f"{path}: there is no such file", f"set {key}=FILE{remedy}")


def _sentences(config: FilesParallel, root: Path, view: str) -> list[str]:
    """The lines of a file; empty ones at its end are none."""
    found = [line.rstrip("\r\n") for path in _files(config, root, view) for line in lines(path)]
    while found and not found[-1].strip():
        found.pop()
    return found


def _unequal(read: Mapping[str, Sequence[str]], codes: Mapping[str, str]) -> UserError:
    told = ", ".join(f"{codes[view]} {len(sentences)}" for view, sentences in read.items())
    remedy = f"line k has to be the same sentence in every file; {_first_gap(read, codes)}"
    return user_error(f"the files differ in their number of lines: {told}", remedy)


def _first_gap(read: Mapping[str, Sequence[str]], codes: Mapping[str, str]) -> str:
    """The first line that is empty in some files alone, where they may go apart; else where one ends."""
    for number, row in enumerate(zip(*read.values(), strict=False), start=1):
        empty = [codes[view] for view, line in zip(read, row, strict=True) if not line.strip()]
        if 0 < len(empty) < len(row):
            return f"look at line {number}, which is empty in {', '.join(empty)} only"
    short, long = (pick(read, key=lambda view: len(read[view])) for pick in (min, max))
    last, more = len(read[short]), read[long][len(read[short])]
    return f"{codes[short]} ends with line {last}, and {codes[long]} goes on: {more[:60]!r}"
