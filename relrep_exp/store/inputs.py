"""Files of the user's own, which are only read: regular ones alone, and what keeps us from it is told."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.keys import file_digest

_ODD_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
_DISK = "see to its disk or network mount, or give a copy on another"
_REMEDIES = {
    errno.EACCES: "make it and its folders readable to you (chmod u+rX), or give a copy of your own",
    errno.EPERM: "make it and its folders readable to you (chmod u+rX), or give a copy of your own",
    errno.ENOENT: "give the path of one that is there",
    errno.ENOTDIR: "give the path of one that is there; a part of this path is a file",
    errno.EISDIR: "it is a folder: give the path of a file",
    errno.ELOOP: "replace the symbolic link, which leads to itself",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EIO: _DISK,
    errno.ESTALE: _DISK,
    errno.ETIMEDOUT: _DISK,
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs: the system has too many files open",
}
_SETTLED_NS = 2 * 10**9  # a file system's clock ticks: what changed this lately may change again unseen

_Stamp = tuple[int, ...]
_DIGESTS: dict[str, tuple[_Stamp, str]] = {}  # path -> what it was when it was read, and its digest


class Unreadable(Problem):
    """A file that is there and cannot be read: a plan need not wait for it, as for one that is to come."""


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn any OSError into a UserError with the name of the file, `path` where the error has none.

    Raises:
        UserError: the file, or one that is read on the way to it, cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str | Path, error: OSError) -> UserError:
    """Tell that a file cannot be read, why, and what mends it."""
    name = error.filename if isinstance(error.filename, str | Path) else path
    remedy = _REMEDIES.get(error.errno or 0, "give a file that you can read")
    kind = Problem if error.errno in _NOT_THERE else Unreadable
    return UserError(kind(f"{name} cannot be read: {error.strerror or error}", remedy))


def expanded(path: str | Path) -> Path:
    """Make a path of what a user wrote, ~ and ~name for folders of users.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise user_error(f"{path}: {error}", "write the whole path, from / on") from None


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file, by itself or behind links.

    Raises:
        UserError: it is a pipe, a socket or a device, which reading would wait for without end, or a folder
            on the way may not be entered.
    """
    try:
        return regular(path) is not None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise unreadable(path, error) from error


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder.

    Raises:
        UserError: a folder on the way may not be entered, or the like.
    """
    with reading(path):
        return path.is_dir()


def regular(path: Path) -> os.stat_result | None:
    """Look at a regular file; None where it is a folder.

    Raises:
        UserError: it is a pipe, a socket or a device.
        OSError: there is nothing, or it cannot be looked at.
    """
    found = path.stat()
    if odd := _ODD_KINDS.get(stat.S_IFMT(found.st_mode)):
        remedy = "give a regular file, a copy of what is read there"
        raise UserError(Unreadable(f"{path} is {odd}, not a file", remedy))
    return None if stat.S_ISDIR(found.st_mode) else found


def input_digest(path: str | Path) -> str:
    """Hash a file that we only read: once in a process as long as it stays what it is.

    Its inode and the time of the last change of that tell, too: contents may change while size and
    modification time do not (cp -p, touch -r, rsync --times).

    Raises:
        UserError: it cannot be read, or is no regular file.
    """
    path = Path(path)
    with reading(path):
        found = regular(path)
        if found is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = _DIGESTS.get(str(path))
        if known is not None and known[0] == stamp:
            return known[1]
        started = time.time_ns()
        digest = file_digest(path)
    if max(found.st_ctime_ns, found.st_mtime_ns) < started - _SETTLED_NS:
        _DIGESTS[str(path)] = stamp, digest
    return digest
