"""Things under content keys, each made once: read it, else lock and read again, else make it.

What is corrupt is moved aside, and what another version wrote is told.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from filelock import FileLock, Timeout

from relrep_exp.errors import UserError
from relrep_exp.store.files import (
    CorruptError,
    OtherSchemaError,
    move_aside,
    read_regular,
    remove_temp,
    translated_oserrors,
    unseal,
)
from relrep_exp.store.keys import require_key

MANIFEST = "manifest.json"

_LOG = logging.getLogger("relrep_exp")
_PATIENCE_SECONDS = 5.0

T = TypeVar("T")


class LockBusyError(Exception):
    """Somebody else holds the lock."""


@dataclass
class Store(Generic[T]):
    """Folders `<root>/<key>/` with a sealed manifest; made once, whole or absent, verified on every read.

    Attributes:
        root: the folder.
    """

    root: Path
    schema: ClassVar[int]  # of what is written, and of all that is read
    manifest: ClassVar[str] = MANIFEST  # the sealed file in a thing's folder; "" where the thing is that file

    def path(self, key: str) -> Path:
        """Name the place of `key`, which need not exist."""
        return self.root / require_key(key)

    def find(self, key: str, *, locked: bool = False) -> T | None:
        """Read what is there. What is corrupt is moved aside with a warning; what has another schema is left.

        Args:
            key: its `content_key`.
            locked: whether the caller holds its lock.
        """
        path = self.path(key)
        try:
            return self.read(key)
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
                return self.find(key, locked=True)
        except LockBusyError:
            _LOG.warning("%s is corrupt: %s; its lock is held, so it may be made anew just now", path, fault)
        except UserError as error:
            _LOG.warning("%s is corrupt: %s; it stays, as it cannot be moved aside: %s", path, fault, error)
        return None

    def read(self, key: str) -> T | None:
        """Read what is there, None if there is nothing. Nothing is moved, locked or logged.

        Raises:
            CorruptError: it is not what was written.
            OtherSchemaError: another version wrote it.
            UserError: it cannot be read.
        """
        while (sealed := self._sealed(key)) is not None:
            found, fault = None, None
            try:
                fields = unseal(sealed, self.schema)
                if fields.get("key") != key:
                    raise CorruptError(f"it is of the key {fields.get('key')}")
                found = self._load(self.path(key), fields)
            except CorruptError as error:
                fault = error
            if self.manifest and self._sealed(key) != sealed:
                continue  # replaced between manifest and data: neither a thing nor a fault counts
            if fault is not None:
                raise fault
            return found
        return None

    def _make_once(self, key: str, make: Callable[[], T], *, redo: bool = False) -> tuple[T, bool]:
        """Read what is there, or else have it made and written; and say whether it was made now.

        Whoever comes while another thread or process makes it waits, and then reads. With `redo` it is made
        in any case. What is there is read without a lock, so in a folder that is read-only, too.

        Raises:
            UserError: it has to be made and the folder cannot be written; told before `make` is called.
        """
        if not redo and (found := self.find(key)) is not None:
            return found, False
        path = self.path(key)
        with key_lock(path):
            if not redo and (found := self.find(key, locked=True)) is not None:
                return found, False
            sweep_temps(self.root, path.name)
            return make(), True

    def _sealed(self, key: str) -> bytes | None:
        """Read the sealed file; a folder without one has an empty, hence a corrupt one."""
        path = self.path(key)
        try:
            with translated_oserrors(path):
                return read_regular(path / self.manifest)
        except FileNotFoundError:
            with translated_oserrors(path):
                return b"" if self.manifest and path.is_dir() else None
        except CorruptError:  # a pipe or the like has no content, hence a corrupt one
            return b""

    def _load(self, path: Path, fields: dict[str, Any]) -> T:
        """Make of the manifest's fields, and of what is beside it, what is returned.

        Raises:
            CorruptError: it is not what was written.
        """
        raise NotImplementedError


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
