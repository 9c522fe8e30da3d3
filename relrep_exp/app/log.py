"""What a run says while it works: a line before each step, on the terminal and in the run's own file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from relrep_exp.errors import UserError

_LOG = logging.getLogger("relrep_exp")


class _Seconds(logging.Formatter):
    """Puts the seconds since the program started before what is only told; warnings stand for themselves."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno > logging.INFO else f"{record.relativeCreated / 1e3:7.1f} s  {text}"


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever stderr is at the time, under a progress bar, too."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        """Nothing to keep."""


_TERMINAL = _Stderr()
_TERMINAL.setFormatter(_Seconds())


def to_terminal(level: str = "info") -> None:
    """Show what the package says from `level` on: debug (-v), info or warning (-q); and others' warnings."""
    _TERMINAL.setLevel(level.upper())
    _LOG.setLevel(min(logging.INFO, _TERMINAL.level))
    root = logging.getLogger()
    if _TERMINAL not in root.handlers:
        root.addHandler(_TERMINAL)


@contextmanager
def kept_in(folder: Path | None, told: str | None = None) -> Iterator[None]:
    """Keep everything that is said meanwhile in `folder/run.log`; None keeps nothing.

    `told` is the level from which on the terminal shows it, too; None leaves the terminal as it is.

    A request that turns out wrong leaves nothing behind: what it was told is all there is to say.
    """
    if told is not None:
        to_terminal(told)
    if folder is None:
        yield
        return
    path = folder / "run.log"
    file = logging.FileHandler(path, delay=True)
    file.setFormatter(_Seconds())
    _LOG.setLevel(min(logging.INFO, _LOG.level or logging.INFO))
    _LOG.addHandler(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except UserError:
        path.unlink(missing_ok=True)
        raise
    finally:
        _LOG.removeHandler(file)
        file.close()
