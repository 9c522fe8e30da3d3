"""Make a thing once: read it, else lock and read again, else make it. What is corrupt is moved aside."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from relrep_exp.errors import UserError
from relrep_exp.store.files import (
    CorruptError,
    OtherSchemaError,
    move_aside,
    remove_temp,
    translated_oserrors,
    unseal,
)

MANIFEST = "manifest.json"

_LOG = logging.getLogger("relrep_exp")
_PATIENCE_SECONDS = 5.0

T = TypeVar("T")
Made = TypeVar("Made")


class LockBusyError(Exception):
    """Somebody else holds the lock."""


def get_or_make(
    path: Path,
    read: Callable[[], T | None],
    make: Callable[[], Made],
    write: Callable[[Made], T],
    *,
    redo: bool = False,
) -> tuple[T, bool]:
    """Read what is at `path`, or else write there what `make` returns; and say whether it was made now.

    Whoever comes while another thread or process makes it waits, and then reads. With `redo` it is made
    in any case. A thing that is there is read without a lock, so in a folder that is read-only too.

    Raises:
        UserError: it has to be made and the folder cannot be written; told before `make` is called.
    """
    if not redo and (found := find_intact(path, read)) is not None:
        return found, False
    with key_lock(path):
        if not redo and (found := find_intact(path, read, locked=True)) is not None:
            return found, False
        sweep_temps(path.parent, path.name)
        return write(make()), True


def find_intact(path: Path, read: Callable[[], T | None], *, locked: bool = False) -> T | None:
    """Read what is at `path`; something corrupt is moved aside, and like another schema's, not found.

    Args:
        path: of the thing.
        read: reads it, None where there is none.
        locked: whether the caller holds the lock of `path`.
    """
    try:
        return read()
    except OtherSchemaError as other:
        if not locked:  # whoever holds the lock was told before
            remedy = "read it with the version that wrote it, or run again to have it made anew"
            _LOG.warning("%s is not used: %s; %s", path, other, remedy)
        return None
    except CorruptError as error:
        fault = error
    if locked:
        aside = move_aside(path)
        _LOG.warning("%s is corrupt: %s; moved to %s", path, fault, aside)
        return None
    try:
        # Read again under the lock: a good replacement that came meanwhile must not be moved aside.
        with key_lock(path, wait=False):
            return find_intact(path, read, locked=True)
    except LockBusyError:
        _LOG.warning("%s is corrupt: %s; its lock is held, so it may be made anew just now", path, fault)
    except UserError as error:
        _LOG.warning("%s is corrupt: %s; it stays, as it cannot be moved aside: %s", path, fault, error)
    return None


def read_entry(
    path: Path, schema: int, load: Callable[[dict[str, Any]], T], *, folder: bool = False
) -> T | None:
    """Read the sealed file at `path`, or the manifest in the folder there; None if there is nothing.

    A folder may be replaced between reading the manifest and the data: what `load` finds, an entry or a
    fault, counts only if the manifest is still the same afterwards.

    Args:
        path: of a sealed file, or of a folder with a manifest.
        schema: that the fields must have.
        load: makes of the fields what is returned.
        folder: whether `path` is a folder.

    Raises:
        CorruptError: it is not what was written, or `load` says so.
        OtherSchemaError: another version wrote it.
        UserError: it cannot be read.
    """
    file = path / MANIFEST if folder else path
    before: bytes | None = None
    found: T | None = None
    fault: CorruptError | None = None
    while True:
        try:
            with translated_oserrors(path):
                text = file.read_bytes()
        except FileNotFoundError:
            if not (folder and path.is_dir()):
                return None
            text = b""  # a folder without a manifest has an empty, hence a corrupt one
        if text == before:
            break
        before, found, fault = text, None, None
        try:
            found = load(unseal(text, schema))
        except CorruptError as error:
            fault = error
        if not folder:  # a file is read in one go
            break
    if fault is not None:
        raise fault
    return found


@contextmanager
def key_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of `path`, a file `.locks/<name>.lock` beside it, for the duration of the block.

    The operating system frees the lock of a process that dies. Lock files stay, as removing one that
    another process has open would let two in.

    Args:
        path: what is locked; it need not exist.
        wait: wait for the holder, after five seconds with a line on stderr; otherwise fail at once.

    Raises:
        LockBusyError: somebody holds the lock and `wait` is False.
        UserError: the folder cannot be written.
    """
    lock_path = path.parent / ".locks" / f"{path.name}.lock"
    with translated_oserrors(lock_path):
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path)
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS if wait else 0)
        except Timeout as error:
            if not wait:
                raise LockBusyError(lock.lock_file) from error
            message = f"waiting for another process that works on {path} (lock file: {lock.lock_file})"
            print(message, file=sys.stderr, flush=True)
            lock.acquire(timeout=-1)
    try:
        yield
    finally:
        lock.release()


def sweep_temps(folder: Path, name: str) -> None:
    """Remove what killed writers of `folder/name` left. Only for the holder of its lock."""
    stale = re.compile(rf"\.{re.escape(name)}\.\d+-[0-9a-f]{{16}}\.tmp")
    with translated_oserrors(folder):
        found = [path for path in folder.iterdir() if stale.fullmatch(path.name)] if folder.is_dir() else []
    for path in found:
        remove_temp(path)
