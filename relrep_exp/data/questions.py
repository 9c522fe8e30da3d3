"""TREC's own files of questions: a line each, `COARSE:fine question`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.errors import user_error

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".label"
FILES = {"train": "train_5500", "test": "TREC_10"}  # split -> what its file is called
# The columns are named as in the tables of these questions on the hub.
COLUMNS = ("text", "label_original", "label_coarse_original")

_LINE = re.compile(r"(?P<label>(?P<coarse>[A-Z]+):\w+) (?P<text>.*\S)\s*")


def read(path: Path) -> pa.Table:
    """Read questions with both of their labels, `DESC:manner` and `DESC`.

    Raises:
        UserError: it cannot be read, is empty, or a line has another form; with the line.
    """
    import pyarrow

    found = [_match(line, number, path) for number, line in enumerate(_lines(path), start=1)]
    if not found:
        raise user_error(f"{path} has no rows", "give a table with rows")
    cells = ([match[part] for match in found] for part in ("text", "label", "coarse"))
    return pyarrow.table(dict(zip(COLUMNS, cells, strict=True)))


def _lines(path: Path) -> list[str]:
    r"""Its lines; they end in \n alone, as Latin-1 has other marks that Python would take for ends."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise user_error(
            f"{path} cannot be read: {error.strerror}", "give a file that you can read"
        ) from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # as they are distributed
    return text.removesuffix("\n").split("\n") if text else []


def _match(line: str, number: int, path: Path) -> re.Match[str]:
    match = _LINE.fullmatch(line)
    if match is None:
        what = f"{path}, line {number}: {line[:40]!r} is no question with its label"
        raise user_error(what, "write COARSE:fine and the question, as in 'LOC:city What city ... ?'")
    return match
