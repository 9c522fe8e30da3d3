"""One maker per key, across threads and processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from relrep_exp.store.files import translated_oserrors

_PATIENCE_SECONDS = 5.0


class LockBusyError(Exception):
    """Somebody else holds the lock."""


@contextmanager
def key_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock of `path`, a file `.locks/<name>.lock` beside it, for the duration of the block.

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
        _acquire(lock, path, wait)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, wait: bool) -> None:
    try:
        lock.acquire(timeout=_PATIENCE_SECONDS if wait else 0)
    except Timeout as error:
        if not wait:
            raise LockBusyError(lock.lock_file) from error
        message = f"waiting for another process that works on {path} (lock file: {lock.lock_file})"
        print(message, file=sys.stderr, flush=True)
        lock.acquire(timeout=-1)
