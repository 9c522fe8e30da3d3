"""Make a thing once: read it, else lock and read again, else make it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from relrep_exp.errors import UserError
from relrep_exp.store.files import move_aside
from relrep_exp.store.locks import LockBusyError, key_lock
from relrep_exp.store.sealed import CorruptError, OtherSchemaError

_LOG = logging.getLogger("relrep_exp")

T = TypeVar("T")


def get_or_make(
    path: Path, read: Callable[[], T | None], make: Callable[[], T], *, redo: bool = False
) -> tuple[T, bool]:
    """What `read` finds at `path`, or else what `make` puts there; and whether it was made now.

    Whoever comes while another thread or process makes it waits, and then reads. With `redo` it is made
    in any case. A thing that is there is read without a lock, so in a folder that is read-only too.

    Raises:
        UserError: it has to be made and the folder cannot be written; told before `make` is called.
    """
    if not redo and (found := find_intact(path, read)) is not None:
        return found, False
    with key_lock(path):
        if not redo and (found := find_intact_locked(path, read)) is not None:
            return found, False
        return make(), True


def find_intact(path: Path, read: Callable[[], T | None]) -> T | None:
    """What `read` finds at `path`; something corrupt is moved aside, and like another schema's, not found."""
    try:
        return read()
    except OtherSchemaError as other:
        remedy = "read it with the version that wrote it, or run again to have it made anew"
        _LOG.warning("%s is not used: %s; %s", path, other, remedy)
    except CorruptError as fault:
        return _find_again(path, read, fault)
    return None


def find_intact_locked(path: Path, read: Callable[[], T | None]) -> T | None:
    """`find_intact` for the holder of the lock of `path`."""
    try:
        return read()
    except OtherSchemaError:
        return None
    except CorruptError as fault:
        aside = move_aside(path)
        _LOG.warning("%s is corrupt: %s; moved to %s", path, fault, aside)
        return None


def _find_again(path: Path, read: Callable[[], T | None], fault: CorruptError) -> T | None:
    """Under the lock, so that a good replacement which came meanwhile is not what is moved aside."""
    try:
        with key_lock(path, wait=False):
            return find_intact_locked(path, read)
    except LockBusyError:
        _LOG.warning("%s is corrupt: %s; its lock is held, so it may be made anew just now", path, fault)
    except UserError as error:
        _LOG.warning("%s is corrupt: %s; it stays, as it cannot be moved aside: %s", path, fault, error)
    return None
