"""Text files line by line, with the place of whatever is wrong in them: lines, CSV and TSV, questions."""

from __future__ import annotations

import csv
import gzip
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from relrep_exp.errors import UserError, user_error
from relrep_exp.store.inputs import reading, unreadable

TAB = "\t"
QUESTION_SUFFIX = ".label"
QUESTION_FILES = {"train": "train_5500", "test": "TREC_10"}  # split -> what TREC's own file is called
# The columns are named as in the tables of these questions on the hub.
QUESTION_COLUMNS = ("text", "label_original", "label_coarse_original")
_ENCODING = "save it as UTF-8: iconv -f LATIN1 -t UTF-8 OLD > NEW, LATIN1 being what it is in now"
_CSV = "give every row as many cells as the header; a cell with a separator or a line break goes in quotes"
_QUESTION = re.compile(r"(?P<label>(?P<coarse>[A-Z]+):\w+) (?P<text>.*\S)\s*")


@dataclass(frozen=True)
class Dialect:
    """The dialect of a CSV or TSV.

    Attributes:
        columns: the names in its header.
        separator: a comma, or a tab.
        quoting: `csv.QUOTE_MINIMAL`, or `csv.QUOTE_NONE` where quotation marks are text like any other.
    """

    columns: tuple[str, ...]
    separator: str
    quoting: int


def lines(path: Path) -> Iterator[str]:
    r"""Read its lines with their ends, \n or \r\n alone: Unicode has others, which texts may contain.

    Raises:
        UserError: it cannot be opened, is no whole gzip, or is not UTF-8; with line and byte.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as stream:
            for number, raw in enumerate(stream, start=1):
                yield _decoded(raw, number, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise user_error(f"{path} is damaged or cut off: {error}", "copy or download it again") from None
    except OSError as error:
        raise unreadable(path, error) from None


def asset(name: str) -> list[dict[str, str]]:
    """Read a table of the package's own, in data/assets; lines that begin with # are comments."""
    text = (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")
    rows = [line for line in text.split("\n") if line and not line.startswith("#")]
    return list(csv.DictReader(rows, delimiter=TAB, quoting=csv.QUOTE_NONE))


def dialect(path: Path, separator: str) -> Dialect:
    """Find how a CSV or TSV is written, after a look at every row of it.

    The library that reads it afterwards takes a row with a cell too many for one with an index, and shifts
    its columns, and a missing cell for an empty one. So cells are counted here. A TSV whose quotation marks
    do not pair is one without quoting, as many corpora are.

    Raises:
        UserError: it has no header or no rows, a name twice, or rows of another length; with the line.
    """
    try:
        return _dialect(path, separator, csv.QUOTE_MINIMAL)
    except UserError:
        if separator == TAB:
            with suppress(UserError):
                return _dialect(path, separator, csv.QUOTE_NONE)
        raise


def _decoded(raw: bytes, number: int, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        place = f"line {number}, byte {error.start + 1} of that line (0x{raw[error.start]:02x})"
        raise user_error(f"{path} is not UTF-8: {place}", _ENCODING) from None


def _dialect(path: Path, separator: str, quoting: int) -> Dialect:
    csv.field_size_limit(sys.maxsize)  # it is for all readers alike; a text may be longer than its 131,072
    rows = csv.reader(lines(path), delimiter=separator, quoting=quoting, strict=True)  # type: ignore[arg-type]
    try:
        columns = next((row for row in rows if row), [])
        if not columns or len(set(columns)) < len(columns):
            names = ", ".join(columns) or "nothing"
            raise user_error(f"{path}: its header holds {names}", "name every column, each once")
        count = sum(_counted(row, columns, path, rows.line_num) for row in rows)
    except csv.Error as error:
        raise user_error(f"{path}, line {rows.line_num}: {error}", _CSV) from None
    if not count:
        raise user_error(f"{path} has a header and no rows", "give a table with rows")
    return Dialect(tuple(columns), separator, quoting)


def _counted(row: list[str], columns: list[str], path: Path, line: int) -> bool:
    """Whether this is a row, and not an empty line."""
    if row and len(row) != len(columns):
        raise user_error(f"{path}, line {line}: {len(row)} cells under {len(columns)} columns", _CSV)
    if any("\n" in cell and TAB in cell for cell in row):
        raise user_error(f"{path}, line {line}: a quotation mark opened above it was never closed", _CSV)
    return bool(row)


def questions(path: Path) -> dict[str, list[str]]:
    """Read TREC's own files: questions with both of their labels, `DESC:manner` and `DESC`, as columns.

    Raises:
        UserError: it cannot be read, is empty, or a line is no `COARSE:fine question`; with the line.
    """
    with reading(path):
        raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # as they are distributed
    # Lines end in \n alone, as Latin-1 has other marks that Python would take for ends.
    found = text.removesuffix("\n").split("\n") if text else []
    if not found:
        raise user_error(f"{path} has no rows", "give a table with rows")
    columns: dict[str, list[str]] = {name: [] for name in QUESTION_COLUMNS}
    for number, line in enumerate(found, start=1):
        match = _QUESTION.fullmatch(line)
        if match is None:
            what = f"{path}, line {number}: {line[:40]!r} is no question with its label"
            raise user_error(what, "write COARSE:fine and the question, as in 'LOC:city What city ... ?'")
        for name, cell in zip(QUESTION_COLUMNS, match.group("text", "label", "coarse"), strict=True):
            columns[name].append(cell)
    return columns
