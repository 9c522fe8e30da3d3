"""Files that are whole or absent and know if they are intact; the system's errors in the user's terms."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.keys import canonical_json, text_digest

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

_ELSEWHERE = "or choose another folder: paths.outputs=DIR"
_IN_THE_WAY = ("a file is where a folder should be", f"move that file away {_ELSEWHERE}")
_DENIED = ("permission denied", f"make it accessible to you {_ELSEWHERE}")

# errno -> what a user is told, and what mends it. Only what the user's request or machine causes:
# anything else is a defect and keeps its traceback.
_CAUSES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full ({free} free)", f"free space {_ELSEWHERE}"),
    errno.EDQUOT: ("the disk quota is used up", f"free space {_ELSEWHERE}"),
    errno.EFBIG: ("the file would exceed the size limit", f"raise the limit (ulimit -f) {_ELSEWHERE}"),
    errno.EROFS: ("the file system is read-only", f"make it writable {_ELSEWHERE}"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: ("a folder is where a file should be", f"move that folder away {_ELSEWHERE}"),
    errno.ELOOP: ("a symbolic link leads to itself", f"remove that link {_ELSEWHERE}"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter one: paths.outputs=DIR"),
    errno.EIO: ("the disk fails to read or write", f"see to the disk {_ELSEWHERE}"),
    errno.ESTALE: ("the network mount has lost it", f"mount it again {_ELSEWHERE}"),
    errno.ETIMEDOUT: ("the network mount does not answer", f"mount it again {_ELSEWHERE}"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open on this machine", "close other programs"),
    errno.ENOLCK: ("the file system cannot lock files", "choose another folder: paths.outputs=DIR"),
}

_PACKAGE = Path(__file__).resolve().parents[1]
# The configuration: inside the package when installed, beside it in a checkout.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

_PROBE_BYTES = 4096  # an empty probe would succeed on a full disk
_MINUS_ZERO = re.compile(r"-0\.0(?!\d)")


class CorruptError(Exception):
    """What is stored is not what was written."""


class OtherSchemaError(Exception):
    """What is stored was written by another version of the package."""

    def __init__(self, found: int, expected: int):
        self.found, self.newer = found, found > expected
        super().__init__(f"it has schema {found}, and this version reads schema {expected}")


@contextmanager
def translated_oserrors(path: Path) -> Iterator[None]:
    """Turn an OSError that a user causes into a UserError about `path`; other errors pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CAUSES:
            raise
        what, remedy = _CAUSES[error.errno]
        if error.errno == errno.ENOSPC:
            what = what.format(free=f"{free_bytes(path) / 2**20:.1f} MiB")
        raise UserError(Problem(f"cannot use {path}: {what}", remedy)) from error


def read_regular(path: Path) -> bytes:
    """Read a file of a store; a pipe or a device would be waited for, or read, without end.

    Raises:
        CorruptError: it is no regular file.
        OSError: there is none, or it cannot be read.
    """
    require_regular(path)
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Refuse what is neither a regular file nor a folder, by itself or behind links.

    Raises:
        CorruptError: it is something else.
        OSError: there is nothing, or it cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise CorruptError(f"{path.name} is no regular file")


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file so that every reader, even after a crash, sees the old or the new one.

    The bytes go to a temporary file in the same folder, to the disk, and are renamed into place. The
    folder is created if needed; the mode is what the umask says.

    Raises:
        UserError: the folder cannot be written, the disk is full, or the like.
    """
    with translated_oserrors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temp = temp_beside(path)
        try:
            with synced_file(temp) as stream:
                yield stream
            temp.replace(path)
        except BaseException:
            remove_temp(temp)
            raise
        sync(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, as `atomic_file` does."""
    with atomic_file(path) as stream:
        stream.write(data)


@contextmanager
def synced_file(path: Path) -> Iterator[BinaryIO]:
    """Create `path`, which must not exist, and return when the disk has what the block wrote."""
    with path.open("xb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
            raise
    finally:
        os.close(descriptor)


def temp_beside(path: Path) -> Path:
    """Name a file in the same folder that nobody else uses and `once.sweep_temps` recognises."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")


def remove_temp(path: Path) -> None:
    """Remove a file or a whole folder as far as possible; the next sweep takes what remains.

    It never fails: it runs when the work is done or when another error is on its way, and a network file
    system may refuse to remove what a reader has open.
    """
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def move_aside(path: Path, reason: str = "corrupt") -> Path:
    """Rename `path` to the first free `<name>.<reason>-<n>`, n = 1, 2, ...; the caller holds its lock."""
    for number in count(1):
        aside = path.with_name(f"{path.name}.{reason}-{number}")
        if not os.path.lexists(aside):
            break
    with translated_oserrors(path):
        path.rename(aside)
    return aside


def require_writable(folder: Path) -> list[Problem]:
    """Find what keeps us from writing into `folder`, which is created if needed; empty if nothing does."""
    probe = temp_beside(folder / "probe")
    try:
        with translated_oserrors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with synced_file(probe) as stream:
                    stream.write(bytes(_PROBE_BYTES))
            finally:
                remove_temp(probe)
    except UserError as error:
        return error.problems
    except OSError as error:  # such as a folder under /proc
        return [Problem(f"cannot use {folder}: {error.strerror}", "choose another folder: paths.outputs=DIR")]
    return []


def free_bytes(path: Path) -> int:
    """Ask how much room the disk of `path`, which need not exist, has left."""
    path = path.absolute()
    # os.path.isdir, unlike the method of a path, is false for what may not be entered
    existing = next((place for place in (path, *path.parents) if os.path.isdir(place)), Path("/"))  # noqa: PTH112
    return shutil.disk_usage(existing).free


def seal(fields: Mapping[str, Any]) -> str:
    """Write JSON fields, one a line, with the SHA-256 of their canonical JSON as `checksum`."""
    sealed = {**fields, "checksum": text_digest(canonical_json(fields))}
    lines = [f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in sealed.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def unseal(text: str | bytes, schema: int) -> dict[str, Any]:
    """Read the fields that were sealed, without the checksum.

    Raises:
        OtherSchemaError: `schema` is another one; its checksum is not looked at, as its rules may differ.
        CorruptError: no JSON object, or not with the content that was sealed.
    """
    try:
        fields = json.loads(text, parse_constant=_refuse)
        return _verified(fields, text, schema)
    except ValueError as error:
        raise CorruptError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise CorruptError("its JSON is nested too deeply") from error


def _verified(fields: Any, text: str | bytes, schema: int) -> dict[str, Any]:
    """Compare the fields with their checksum, which is taken out."""
    if not isinstance(fields, dict):
        raise CorruptError("it is not a JSON object")
    found = fields.get("schema")
    if isinstance(found, int) and found != schema:
        raise OtherSchemaError(found, schema)
    checksum = fields.pop("checksum", None)
    # What a parser returns is canonical but for -0.0; without it plain JSON is three times faster.
    if _MINUS_ZERO.search(text if isinstance(text, str) else text.decode(errors="replace")):
        canonical = canonical_json(fields)
    else:
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if checksum != text_digest(canonical):
        raise CorruptError("its checksum does not match its content")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def install_folder(prepared: Path, folder: Path) -> None:
    """Rename `prepared`, a folder beside `folder`, to `folder`; what was there before is removed.

    Between two renames `folder` is missing: whoever finds nothing waits for its lock and looks again, and a
    writer that is killed there leaves nothing, never half of it.
    """
    old = temp_beside(folder)
    with suppress(FileNotFoundError):
        folder.rename(old)
    prepared.rename(folder)
    remove_temp(old)
    sync(folder.parent)


def write_npy(path: Path, rows: int, blocks: Iterable[Tensor]) -> None:
    """Write blocks [n, k] of `rows` rows in all to a .npy file, which appears whole or not at all.

    Raises:
        UserError: the disk has not the room, the folder cannot be written, or the like.
    """
    from numpy.lib.format import write_array_header_1_0

    with atomic_file(path) as stream:
        for number, block in enumerate(blocks):
            array = block.detach().cpu().contiguous().numpy()
            if number == 0:
                shape = (rows, *array.shape[1:])
                needed, free = math.prod(shape) * array.itemsize, free_bytes(path)
                if needed > free:
                    what = (
                        f"{path} needs {needed / 2**20:,.1f} MiB, the disk has {free / 2**20:,.1f} MiB free"
                    )
                    raise user_error(what, "free space or give a path on another disk")
                described = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                write_array_header_1_0(stream, described)
            stream.write(array.data)


def digest(*tensors: Tensor) -> str:
    """Hash the numbers of some tensors, SHA-256 in hex; their shapes do not enter."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()
