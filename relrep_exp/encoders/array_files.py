"""Named arrays in an .npz, a .safetensors or a folder of .npy: headers first, then what is wanted.

Nothing in a file is ever executed, and a header that promises more than there is is found out before memory
is taken.
"""

from __future__ import annotations

import math
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from relrep_exp.errors import Problem, UserError, every, user_error
from relrep_exp.store.inputs import input_digest, is_file, is_folder, reading

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

T = TypeVar("T")

_NPY, _NPY_MAGIC = ".npy", b"\x93NUMPY"
_SAVE = "save float32 arrays: numpy.savez(path, a=x_a, b=x_b, labels=y, is_train=mask)"
_PACKED = 1100  # bytes that deflate makes of one at most, rounded up
# safetensors' names of types by their first letters -> numpy's letter of their kind
_KINDS = {"BOOL": "b", "BF": "f", "F": "f", "I": "i", "U": "u", "C": "c"}


@dataclass(frozen=True)
class Header:
    """What an array is, before it is read.

    Attributes:
        kind: numpy's letter: f floats of any size, i and u integers, b booleans, U and S texts, O Python
            objects, which are never loaded.
        dtype: its type as a message names it.
        shape: its sizes.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@dataclass
class ArrayFile(ABC):
    """Arrays that are kept together.

    Attributes:
        path: the file, or the folder.
        headers: array -> what it is, in the file's order.
        others: what is there beside arrays.
    """

    path: Path
    headers: dict[str, Header] = field(init=False, default_factory=dict)
    others: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        with reading(self.path):
            _attempt(self.path, self._look)

    def read(self, name: str) -> Array:
        """Read an array; floats that numpy has no type for are float32.

        Raises:
            UserError: it is damaged, holds Python objects, or is not as long as its header says.
        """
        if self.headers[name].kind == "O":
            what = f"{self.path}: array {name!r} holds pickled Python objects, which are never loaded"
            raise user_error(what, "save plain arrays: numpy.savez(path, a=x_a.astype('float32'), ...)")
        with reading(self.path):
            return _attempt(self.path, partial(self._read, name))

    def digest(self, name: str) -> str:
        """Hash the file that the array is in."""
        return input_digest(self.path)

    @abstractmethod
    def _look(self) -> None:
        """Find all headers."""

    @abstractmethod
    def _read(self, name: str) -> Array:
        """Read an array."""


class _Npz(ArrayFile):
    def _look(self) -> None:
        with self.path.open("rb") as stream:
            if stream.read(len(_NPY_MAGIC)) == _NPY_MAGIC:
                what = f"{self.path} is a .npy under another name: one array, without names"
                raise user_error(what, _SAVE)
        with zipfile.ZipFile(self.path) as archive:
            for name in dict.fromkeys(archive.namelist()):
                if not name.endswith(_NPY):
                    self.others.append(name)
                    continue
                member = archive.getinfo(name)
                if member.file_size > _PACKED * member.compress_size + _PACKED:
                    raise ValueError(f"{name} would unpack to {member.file_size:,} bytes")
                with archive.open(member) as stream:
                    self.headers[name.removesuffix(_NPY)] = _header(stream, name, member.file_size)

    def _read(self, name: str) -> Array:
        from numpy.lib.format import read_array

        with zipfile.ZipFile(self.path) as archive, archive.open(name + _NPY) as stream:
            found: Array = read_array(stream, allow_pickle=False)
        return found


class _Safetensors(ArrayFile):
    def _look(self) -> None:
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            for name in file.offset_keys():
                found = file.get_slice(name)
                dtype = found.get_dtype()
                kind = next((kind for start, kind in _KINDS.items() if dtype.startswith(start)), "V")
                self.headers[name] = Header(kind, dtype, tuple(found.get_shape()))

    def _read(self, name: str) -> Array:
        import torch
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            x = file.get_tensor(name)
        small = x.is_floating_point() and x.dtype not in (torch.float64, torch.float32, torch.float16)
        found: Array = (x.float() if small else x).numpy()
        return found


class _Folder(ArrayFile):
    def _look(self) -> None:
        for path in sorted(self.path.iterdir()):
            if path.suffix != _NPY or not is_file(path):
                self.others += [] if path.name.startswith(".") else [path.name]
                continue
            with path.open("rb") as stream:
                self.headers[path.stem] = _header(stream, path.name, os.fstat(stream.fileno()).st_size)

    def _read(self, name: str) -> Array:
        from numpy.lib.format import read_array

        with (self.path / f"{name}{_NPY}").open("rb") as stream:
            found: Array = read_array(stream, allow_pickle=False)
        return found

    def digest(self, name: str) -> str:
        """Hash the file of this array alone."""
        return input_digest(self.path / f"{name}{_NPY}")


def open_arrays(path: Path, named: str) -> ArrayFile:
    """Look at a file of arrays, or at a folder of .npy files.

    Args:
        path: the file or the folder.
        named: what a message calls it, a key and its value.

    Raises:
        UserError: there is none, or its headers cannot be read.
    """
    if is_folder(path):
        found: ArrayFile = _Folder(path)
        if not found.headers:
            what = f"{named} is a folder without .npy files"
            raise user_error(what, "give an .npz, a .safetensors, or a folder with a .npy for each encoder")
        return found
    if not is_file(path):
        raise user_error(f"{named}: there is no such file", "give the path of an .npz or .safetensors")
    if path.suffix == _NPY:
        what = f"{path} is one array, hence one encoder, and two are needed at least"
        raise user_error(what, f"give the folder with a .npy for each encoder, zoo.path={path.parent}")
    kinds: dict[str, type[ArrayFile]] = {".npz": _Npz, ".safetensors": _Safetensors}
    if path.suffix not in kinds:
        raise user_error(
            f"{path}: {path.suffix or 'no'} suffix", "save as .npz (numpy.savez) or .safetensors"
        )
    return kinds[path.suffix](path)


def read_all(file: ArrayFile, names: list[str]) -> dict[str, Array]:
    """Read these arrays.

    Raises:
        UserError: some cannot be read; every one.
    """
    return every({name: partial(file.read, name) for name in names})


def _header(stream: IO[bytes], name: str, size: int) -> Header:
    """Read the header of a .npy, and compare what it promises with the bytes that there are."""
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"{name} is a .npy of version {version}")
    shape, _, dtype = readers[version](stream)
    promised, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or (not dtype.hasobject and promised != there):
        raise ValueError(f"{name} has {there:,} bytes of data, and its header says {promised:,}: {shape}")
    return Header("O" if dtype.hasobject else dtype.kind, str(dtype), shape)


def _attempt(path: Path, job: Callable[[], T]) -> T:
    """Do what a damaged file can make the libraries below raise nearly anything in."""
    try:
        return job()
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = f"write it again ({_SAVE}), or copy it again"
        raise UserError(
            Problem(f"{path} is damaged or no {path.suffix or 'file'} of arrays: {said}", remedy)
        ) from error
