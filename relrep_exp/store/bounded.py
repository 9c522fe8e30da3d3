"""A folder of entries that may only grow so far: those that were not used for longest go first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from relrep_exp.store.files import remove_temp, temp_beside
from relrep_exp.store.keys import is_key
from relrep_exp.store.locks import LockBusyError, key_lock
from relrep_exp.store.manifest import MANIFEST


def mark_used(folder: Path) -> None:
    """Note that an entry was used now; in a folder that is read-only nothing is noted."""
    with suppress(OSError):
        os.utime(folder / MANIFEST)


def prune(root: Path, most: float) -> None:
    """Remove the entries that were not used for longest, until the others take `most` bytes or less.

    An entry that somebody is making stays. Whoever is reading one that goes either has it open, or finds
    nothing and makes it anew.
    """
    entries = sorted(_entries(root), key=lambda entry: entry[1])
    excess = sum(size for _, _, size in entries) - most
    for folder, _, size in entries:
        if excess <= 0:
            break
        if _removed(folder):
            excess -= size


def _entries(root: Path) -> list[tuple[Path, int, int]]:
    """Folder, time of the last use in ns and bytes of each entry; what goes meanwhile is passed over."""
    found = []
    for manifest in root.glob(f"*/{MANIFEST}"):
        with suppress(OSError):
            if is_key(manifest.parent.name):
                size = sum(path.stat().st_size for path in manifest.parent.iterdir())
                found.append((manifest.parent, manifest.stat().st_mtime_ns, size))
    return found


def _removed(folder: Path) -> bool:
    """Whether it is gone; it vanishes in one step, under its lock."""
    gone = temp_beside(folder)
    try:
        with key_lock(folder, wait=False):
            folder.rename(gone)
    except LockBusyError:
        return False
    except FileNotFoundError:  # another process was faster
        return True
    remove_temp(gone)
    return True
