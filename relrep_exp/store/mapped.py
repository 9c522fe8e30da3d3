"""Embeddings that stay in .npy and .safetensors files: found by their headers, mapped a slice at a time."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem, UserError, user_error

if TYPE_CHECKING:  # torch takes seconds to import, and a look at what is there does without
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

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


class FileRows:
    """Embeddings [N, d] in files; a slice of them is a tensor, as of a tensor [N, d].

    Each slice maps its rows alone, privately: changing them changes no file, and their pages are given back
    with the tensor. Rows of two files in one slice are copied. Half precision is read as float32.

    Example:
        x = FileRows.open(["part-0.npy", "part-1.npy"])
        Whitening.fit(x)

    Attributes:
        shape: (N, d).
    """

    def __init__(self, segments: Sequence[Segment]):
        if not segments:
            raise ValueError("there are no rows")
        self._segments = list(segments)
        self._ends = list(accumulate(segment.rows for segment in segments))
        self.shape = (self._ends[-1], segments[0].dim)

    @classmethod
    def open(
        cls, paths: str | PathLike[str] | Sequence[str | PathLike[str]], array: str | None = None
    ) -> FileRows:
        """The rows of one file, or of several one after the other. Headers are read, embeddings are not.

        Args:
            paths: .npy or .safetensors.
            array: the name of the matrix in a .safetensors; by default the only one there.

        Raises:
            UserError: everything that is wrong with the files, in one message.
        """
        several = [paths] if isinstance(paths, str | PathLike) else paths
        segments: list[Segment] = []
        problems: list[Problem] = []
        for path in several:
            try:
                segments.append(locate(Path(path).expanduser(), array))
            except UserError as error:
                problems += error.problems
        if problems := problems or _unlike(segments):
            raise UserError(problems)
        return cls(segments)

    def __len__(self) -> int:
        """N."""
        return self.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of the tensors that slices are."""
        import torch

        return torch.float64 if self._segments[0].dtype == "float64" else torch.float32

    def __getitem__(self, rows: slice | Tensor | NDArray[Any] | Sequence[int]) -> Tensor:
        """Consecutive rows, those of row numbers [n] in their order, or of a mask bool [N]; [n, d].

        Raises:
            IndexError: there is no such row, the slice has a step, or it is neither numbers nor such a mask.
            UserError: a file is shorter than when it was opened.
        """
        import torch

        if not isinstance(rows, slice):
            return self._picked(self._numbers(torch.as_tensor(rows).cpu()))
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("rows of files are read without a step")
        parts = [_mapped(part).to(self.dtype) for part in self._between(start, stop)]
        if not parts:
            return torch.empty(0, self.shape[1], dtype=self.dtype)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _between(self, start: int, stop: int) -> Iterator[Segment]:
        """The parts of the segments that hold these rows."""
        number = bisect_right(self._ends, start)
        while start < stop:
            segment, end = self._segments[number], self._ends[number]
            first = end - segment.rows
            yield segment.part(start - first, min(stop, end) - first)
            start, number = end, number + 1

    def _numbers(self, rows: Tensor) -> Tensor:
        """Row numbers int64 [n] of row numbers or a mask."""
        import torch

        is_mask = rows.dtype == torch.bool
        if rows.ndim != 1 or (is_mask and len(rows) != len(self)) or (rows.is_floating_point() and len(rows)):
            what = f"{rows.dtype} {list(rows.shape)}"
            raise IndexError(f"give row numbers [n], or a mask of bool [{len(self)}], not {what}")
        numbers = rows.nonzero()[:, 0] if is_mask else rows.long()
        if not bool(((numbers >= 0) & (numbers < len(self))).all()):
            raise IndexError(f"row numbers must be 0 to {len(self) - 1:,}")
        return numbers

    def _picked(self, wanted: Tensor) -> Tensor:
        import torch

        picked = torch.empty(len(wanted), self.shape[1], dtype=self.dtype)
        for segment, end in zip(self._segments, self._ends, strict=True):
            first = end - segment.rows
            here = ((wanted >= first) & (wanted < end)).nonzero()[:, 0]
            if len(here):
                picked[here] = _mapped(segment)[wanted[here] - first].to(self.dtype)
        return picked


def _mapped(segment: Segment) -> Tensor:
    """The rows of a segment as the file has them, [n, d]; the map goes with the tensor."""
    import numpy as np
    import torch

    size = segment.rows * segment.row_bytes
    try:  # mode "c": what is changed in memory changes no file
        mapped = np.memmap(segment.path, np.uint8, "c", segment.offset, (size,))
    except (OSError, ValueError) as error:
        what = f"{segment.path} is not what it was when it was opened: {error}"
        raise user_error(what, "leave files alone while they are read") from None
    dtype: torch.dtype = getattr(torch, segment.dtype)
    # Through bytes, as numpy has no bfloat16.
    return torch.frombuffer(mapped, dtype=dtype).view(segment.rows, segment.dim)


def _unlike(segments: Sequence[Segment]) -> list[Problem]:
    """What keeps these files from being rows of one matrix."""
    if not segments:
        return [Problem("no file given", "give the path of one .npy or .safetensors at least")]
    first = segments[0]
    return [
        Problem(
            f"{segment.path} has {segment.dim} columns of {segment.dtype}",
            f"{first.path} has {first.dim} of {first.dtype}: give files that are alike",
        )
        for segment in segments
        if (segment.dim, segment.dtype) != (first.dim, first.dtype)
    ]


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
