"""Where a matrix lies in a .npy or .safetensors file, and .npy files written block by block."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import user_error

if TYPE_CHECKING:  # torch takes seconds to import
    pass

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_SAFETENSORS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Segment:
    """Consecutive rows of a matrix in a file.

    Attributes:
        path: the file.
        dtype: torch's name of the numbers' type.
        dim: d.
        offset: bytes before the first row.
        rows: n.
    """

    path: Path
    dtype: str
    dim: int
    offset: int
    rows: int

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.dim * _BYTES[self.dtype]

    def part(self, start: int, stop: int) -> Segment:
        """Some of the rows."""
        offset = self.offset + start * self.row_bytes
        return Segment(self.path, self.dtype, self.dim, offset, stop - start)


def locate(path: Path, array: str | None = None) -> Segment:
    """The matrix in a file, by its header alone.

    Args:
        path: a .npy or .safetensors.
        array: its name in a .safetensors; by default the only matrix of floats there.

    Raises:
        UserError: there is no such file, it is truncated or no matrix [N, d] of floats.
    """
    readers = {".npy": _locate_npy, ".safetensors": _locate_safetensors}
    if path.suffix not in readers:
        raise user_error(f"{path}: {path.suffix or 'no'} suffix", "save as .npy or .safetensors")
    try:
        size = path.stat().st_size
        segment = readers[path.suffix](path, array)
    except OSError as error:
        raise user_error(f"{path} cannot be read: {error.strerror}", "give the path of a file") from None
    if not segment.rows or not segment.dim:
        raise user_error(
            f"{path} has shape {[segment.rows, segment.dim]}: nothing in it", "give rows and columns"
        )
    needed = segment.offset + segment.rows * segment.row_bytes
    if size < needed:
        raise user_error(f"{path} is truncated: {size:,} of {needed:,} bytes", "write or copy it again")
    return segment


def _locate_npy(path: Path, array: str | None) -> Segment:
    from numpy.lib import format as npy

    with path.open("rb") as stream:
        try:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
        except ValueError as error:
            raise user_error(
                f"{path} is not a readable .npy: {error}", "write it again with numpy.save"
            ) from None
        offset = stream.tell()
    if len(shape) != 2 or dtype.name not in _BYTES or not dtype.isnative or fortran:
        order = " in columns" if fortran else ""
        remedy = "save rows of floats: numpy.save(path, numpy.ascontiguousarray(x, 'float32'))"
        raise user_error(f"{path} is {dtype.str} {list(shape)}{order}", remedy)
    return Segment(path, dtype.name, shape[1], offset, shape[0])


def _locate_safetensors(path: Path, array: str | None) -> Segment:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            if length > path.stat().st_size:
                raise ValueError("no header")
            header = json.loads(stream.read(length))
            if array is not None and array not in header:
                raise user_error(f"{path} has no array {array!r}", f"it has {', '.join(header)}")
            found = _matrices(header if array is None else {array: header[array]})
        except (ValueError, TypeError, AttributeError, LookupError):
            remedy = "write it again with safetensors.torch.save_file"
            raise user_error(f"{path} is not a readable .safetensors", remedy) from None
    if len(found) != 1:
        remedy = (
            "say which matrix of floats is meant: array=NAME" if found else "give a matrix of floats [N, d]"
        )
        raise user_error(f"{path} has {', '.join(found) or 'no matrix of floats'}", remedy)
    [(dtype, (rows, dim), start)] = found.values()
    return Segment(path, dtype, dim, 8 + length + start, rows)


def _matrices(header: dict[str, Any]) -> dict[str, tuple[str, list[int], int]]:
    """Name -> dtype, shape and first byte of each matrix of floats."""
    return {
        name: (_SAFETENSORS[entry["dtype"]], entry["shape"], entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in _SAFETENSORS and len(entry["shape"]) == 2
    }
