"""Columns of tables in local files: CSV, TSV, JSON lines and Parquet, through `datasets.load_dataset`.

The library streams them, so nothing is written beside the files or into a cache. What it would guess is
taken from it: every cell of a CSV is a string (a review may well read "None" or "007"), rows are counted
beforehand, and a column of mixed or odd types is refused where the library would re-encode it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.layouts import FORMATS, suffix
from relrep_exp.data.textfile import QUESTION_SUFFIX, TAB, dialect, lines, questions
from relrep_exp.errors import Problem, UserError, every, nearest, user_error

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 10_000


@dataclass(frozen=True)
class Table:
    """Some columns of a table.

    Attributes:
        columns: column -> its cells; texts, or None where one is missing. Numbers are spelt out.
        files: what it was read from, and the number of rows of each.
    """

    columns: Mapping[str, list[str | None]]
    files: Sequence[tuple[Path, int]]

    def __len__(self) -> int:
        return sum(rows for _, rows in self.files)

    def place(self, row: int) -> str:
        """Name a row for messages: rows count from 1, the header is none."""
        for path, rows in self.files:
            if row < rows:
                return f"{path}, row {row + 1}"
            row -= rows
        raise IndexError(row)

    def whole(self, columns: Iterable[str]) -> dict[str, list[str]]:
        """Map columns to their cells, of which none may be missing.

        Raises:
            UserError: some are; with the first of each column.
        """
        return every({name: partial(self.require, name) for name in columns})

    def require(self, column: str) -> list[str]:
        """Read a column without missing cells.

        Raises:
            UserError: there are some; with the first.
        """
        cells = self.columns[column]
        missing = [row for row, cell in enumerate(cells) if cell is None]
        if missing:
            what = f"{self.place(missing[0])}: column {column!r} has no value ({len(missing)} such rows)"
            raise user_error(what, "fill them in, or remove these rows")
        return [cell for cell in cells if cell is not None]


def read(paths: Sequence[Path], columns: Mapping[str, str]) -> Table:
    """Read some columns of a table that may be in several files.

    Args:
        paths: its files, in order.
        columns: column -> what to do if there is none of that name.

    Raises:
        UserError: a file is damaged, not UTF-8, empty, or lacks a column; with its name and the place.
    """
    tables = [_columns(path, columns) for path in paths]
    joined = {name: [cell for table in tables for cell in table[name]] for name in columns}
    sizes = [len(next(iter(table.values()))) for table in tables]
    return Table(joined, list(zip(paths, sizes, strict=True)))


def in_order(cells: Iterable[str]) -> list[str]:
    """Sort distinct cells by value where all of them are whole numbers, by letter otherwise."""
    distinct = sorted(set(cells))
    numeric = all(cell.removeprefix("-").isdecimal() for cell in distinct)
    return sorted(distinct, key=int) if numeric else distinct


def joined(cells: Mapping[str, Sequence[str]], columns: Sequence[str]) -> list[str]:
    """Join the texts of several columns, those of each row that are not empty."""
    rows = zip(*(cells[name] for name in columns), strict=True)
    return [". ".join(filter(None, row)) for row in rows]


def some(items: Sequence[str], most: int = 5) -> str:
    """List the first few for a message, and how many there are if that is not all."""
    return ", ".join(items[:most]) + (f", ... ({len(items)} in all)" if len(items) > most else "")


def _columns(path: Path, columns: Mapping[str, str]) -> dict[str, list[str | None]]:
    table = _load(path)
    unknown = [
        Problem(f"{path} has no column {name!r}", f"{remedy}; {nearest(name, table.column_names)}")
        for name, remedy in columns.items()
        if name not in table.column_names
    ]
    if unknown:
        raise UserError(unknown)
    odd = [name for name in columns if not _plain(table.schema.field(name).type)]
    if odd:
        told = ", ".join(f"{name!r} holds {table.schema.field(name).type}" for name in odd)
        raise user_error(f"{path}: column {told}", "write texts, or whole numbers, in every row of it")
    return {name: [_spelt(cell) for cell in table.column(name).to_pylist()] for name in columns}


def _plain(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are texts or numbers, or all are missing."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(test(kind) for test in (*tests, types.is_integer, types.is_boolean, types.is_floating))


def _spelt(cell: Any) -> str | None:
    """A cell as text: 1, 1.0 and True are "1"."""
    if cell is None or isinstance(cell, str):
        return cell
    whole = not isinstance(cell, float) or cell.is_integer()
    return str(int(cell)) if whole else str(cell)


def _load(path: Path) -> pa.Table:
    """The whole table as Arrow."""
    import pyarrow
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from datasets.utils import logging

    if path.suffix == QUESTION_SUFFIX:
        return pyarrow.table(questions(path))
    reader, options = _reader(path)
    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)  # the library logs what it raises, too
    try:
        with tempfile.TemporaryDirectory(prefix="relrep-") as scratch:
            how = {"split": "train", "streaming": True, "cache_dir": scratch, **options}
            rows = load_dataset(reader, data_files=[literal(path)], **how)
            batches = list(rows.with_format("arrow").iter(batch_size=_BATCH))
    except (DatasetsError, pyarrow.ArrowException, ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from None
    finally:
        logging.set_verbosity(level)
    if not batches:
        raise user_error(f"{path} has no rows", "give a table with rows")
    return pyarrow.concat_tables(batches)


def _reader(path: Path) -> tuple[str, dict[str, Any]]:
    """The library's reader for a file, and what it has to be told; text files are looked through before."""
    from datasets import Features, Value

    kind = suffix(path)
    if kind not in FORMATS or path.name.endswith(".parquet.gz"):
        raise user_error(f"{path}: not a format that is read", f"save it as {', '.join(FORMATS)}")
    if FORMATS[kind] == "csv":
        written = dialect(path, TAB if kind == ".tsv" else ",")
        # Every cell is a string, whatever it looks like; none is taken for a missing one.
        features = Features({name: Value("string") for name in written.columns})
        how = {"sep": written.separator, "quoting": written.quoting, "encoding": "utf-8-sig"}
        return "csv", {**how, "na_filter": False, "features": features}
    if FORMATS[kind] == "json" and not sum(bool(line.strip()) for line in lines(path)):
        raise user_error(f"{path} has no rows", "give a table with rows")
    return FORMATS[kind], {}


def literal(path: Path) -> str:
    """Escape a path, so that the search for patterns of `datasets` finds it as it is."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path.absolute()))


def _unreadable(path: Path, error: Exception) -> UserError:
    where = _broken_line(path) if FORMATS[suffix(path)] == "json" else None
    if where is not None:
        return user_error(f"{path}, {where}", "write one JSON object a line, {} around each")
    reason = str(error.__cause__ or error).strip().split("\n")[0]
    return user_error(f"{path} cannot be read: {reason}", "it may be cut off: copy or write it again")


def _broken_line(path: Path) -> str | None:
    """The first line of a file of JSON lines that is none."""
    for number, line in enumerate(lines(path), start=1):
        try:
            json.loads(line or "{}")
        except (ValueError, RecursionError) as error:
            if line.strip():
                return f"line {number}: {error}"
    return None
