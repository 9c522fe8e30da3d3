"""Folders that appear whole and are replaced in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from relrep_exp.store.files import remove_temp, sync, temp_beside

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def install_folder(prepared: Path, folder: Path) -> None:
    """Renames `prepared`, a folder beside `folder`, to `folder`; what was there before is removed.

    Where the system can exchange two names (Linux, local file systems) no reader ever finds `folder`
    missing. Elsewhere it is missing between two renames, which the holder of its lock does not see.
    """
    if not os.path.lexists(folder):
        prepared.rename(folder)
    elif _exchange(prepared, folder):
        remove_temp(prepared)
    else:
        old = temp_beside(folder)
        folder.rename(old)
        prepared.rename(folder)
        remove_temp(old)
    sync(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two names atomically; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if renameat2(*names, _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))
