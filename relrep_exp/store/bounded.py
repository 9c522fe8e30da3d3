"""A folder of entries that may only grow so far: those that were not used for longest go first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from relrep_exp.errors import UserError
from relrep_exp.store.files import remove_temp, temp_beside
from relrep_exp.store.keys import is_key
from relrep_exp.store.once import MANIFEST, LockBusyError, key_lock


def mark_used(folder: Path) -> None:
    """Note that an entry was used now; in a folder that is read-only nothing is noted."""
    with suppress(OSError):
        os.utime(folder / MANIFEST)


def prune(root: Path, most: float) -> None:
    """Remove the entries that were not used for longest, until the others take `most` bytes or less.

    What was moved aside as corrupt, and what killed writers left, counts and goes first. An entry that
    somebody is making, or that cannot be removed, stays. Whoever is reading one that goes either has it open,
    or finds nothing and makes it anew.
    """
    entries = sorted(_entries(root))
    excess = sum(size for _, size, _ in entries) - most
    for _, size, folder in entries:
        if excess <= 0:
            break
        if _removed(folder):
            excess -= size


def _entries(root: Path) -> list[tuple[int, int, Path]]:
    """Time of the last use in ns, bytes and folder of each entry; what goes meanwhile is passed over."""
    found = []
    for folder in root.glob("*"):
        with suppress(OSError):
            if is_key(key := _key(folder)):
                used = (folder / MANIFEST).stat().st_mtime_ns if folder.name == key else 0
                found.append((used, sum(path.stat().st_size for path in folder.iterdir()), folder))
    return found


def _key(folder: Path) -> str:
    """Of `<key>`, of `<key>.corrupt-1`, and of `.<key>.<...>.tmp`, which is stale if its lock is free."""
    return folder.name.removeprefix(".").partition(".")[0]


def _removed(folder: Path) -> bool:
    """Whether it is gone; it vanishes in one step, under its lock."""
    entry = folder.with_name(_key(folder))
    gone = temp_beside(entry)
    try:
        with key_lock(entry, wait=False):
            folder.rename(gone)
    except FileNotFoundError:  # another process was faster
        return True
    except (LockBusyError, UserError, OSError):
        return False
    remove_temp(gone)
    return True
