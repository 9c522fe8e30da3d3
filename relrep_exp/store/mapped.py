"""Embeddings that stay in .npy and .safetensors files: found by their headers, mapped a slice at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.picking import row_numbers

if TYPE_CHECKING:  # torch takes seconds to import, and a look at what is there does without
    import torch
    from numpy.typing import DTypeLike, NDArray
    from torch import Tensor

_BLOCK = 1024  # rows that an iteration reads at a time
# safetensors' names of the numbers' types -> numpy's and torch's
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Segment:
    """Consecutive rows of a matrix in a file.

    Attributes:
        path: the file.
        array: the name of the matrix in a .safetensors; "" in a .npy.
        dtype: torch's name of the numbers' type.
        dim: d.
        start: the first row.
        rows: n.
        stamp: size, time of the last change and number of the file when it was found.
    """

    path: Path
    array: str
    dtype: str
    dim: int
    start: int
    rows: int
    stamp: tuple[int, ...] = ()

    def part(self, start: int, stop: int) -> Segment:
        """Select some of the rows, counted from the first."""
        return replace(self, start=self.start + start, rows=stop - start)


class FileRows:
    """Embeddings [N, d] in files; rows of them are a tensor, as of a tensor [N, d], and numpy makes an array.

    Each slice is a map of its own, a private one: changing it changes no file, and its pages are given back
    with the tensor. Rows of two files in one slice are copied. Half precision is read as float32.

    Example:
        x = FileRows.open(["part-0.npy", "part-1.npy"])
        Whitening.fit(x)

    Attributes:
        shape: (N, d).
        ndim: 2.
    """

    ndim = 2

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
        """Find the rows of one file, or of several one after the other, by their headers alone.

        Args:
            paths: .npy or .safetensors.
            array: the name of the matrix in a .safetensors; by default the only one there.

        Raises:
            UserError: everything that is wrong with the files, in one message.
        """
        segments: list[Segment] = []
        problems: list[Problem] = []
        for path in [paths] if isinstance(paths, str | PathLike) else paths:
            try:
                segments.append(locate(Path(path).expanduser(), array))
            except UserError as error:
                problems += error.problems
        if not segments and not problems:
            problems = [Problem("no file given", "give the path of one .npy or .safetensors at least")]
        for segment in [] if problems else segments:
            first = segments[0]
            if (segment.dim, segment.dtype) != (first.dim, first.dtype):
                what = f"{segment.path} has {segment.dim} columns of {segment.dtype}"
                remedy = f"{first.path} has {first.dim} of {first.dtype}: give files that are alike"
                problems.append(Problem(what, remedy))
        if problems:
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

    @property
    def device(self) -> torch.device:
        """Of the tensors that slices are."""
        import torch

        return torch.device("cpu")

    def __iter__(self) -> Iterator[Tensor]:
        """Read one row [d] after the other."""
        for start in range(0, len(self), _BLOCK):
            yield from self[start : start + _BLOCK]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows, of one file without a copy of it, for numpy."""
        import numpy as np

        rows: NDArray[Any] = self[:].numpy()
        return np.array(rows, dtype, copy=copy) if copy else np.asarray(rows, dtype)

    def __getitem__(self, rows: Any) -> Tensor:
        """Read one row [d]; or rows [n, d]: a slice, row numbers [n] in their order, or a mask of bool [N].

        Negative numbers count from the end. A slice of consecutive rows is mapped, the others are copied.

        Raises:
            IndexError: there is no such row, or it is neither of these.
            UserError: a file is not what it was when it was opened.
        """
        import torch

        if isinstance(rows, tuple) and rows and all(rest in (..., slice(None)) for rest in rows[1:]):
            rows = rows[0]  # x[rows, :], as scikit-learn takes folds
        if not isinstance(rows, slice):
            numbers = row_numbers(rows, len(self))
            return self._picked(numbers) if numbers.ndim else self._picked(numbers[None])[0]
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self._picked(torch.tensor(range(start, stop, step), dtype=torch.int64))
        parts = [_mapped(part).to(self.dtype) for part in self._between(start, stop)]
        if not parts:
            return torch.empty(0, self.shape[1], dtype=self.dtype)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _between(self, start: int, stop: int) -> Iterator[Segment]:
        """Cut the segments to these rows."""
        number = bisect_right(self._ends, start)
        while start < stop:
            segment, end = self._segments[number], self._ends[number]
            first = end - segment.rows
            yield segment.part(start - first, min(stop, end) - first)
            start, number = end, number + 1

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
    """Map the rows of a segment as the file has them, [n, d]; the map goes with the tensor.

    A file is opened anew for each slice: pages of a map that stays would stay in memory, as changes would.
    """
    import torch
    from numpy.lib.format import open_memmap
    from safetensors import SafetensorError, safe_open

    if segment.stamp and segment.stamp != _stamp(segment.path):
        what = f"{segment.path} is not what it was when it was opened: it was written since"
        raise user_error(what, "open it again: FileRows.open(path)")
    rows = slice(segment.start, segment.start + segment.rows)
    try:
        if segment.array:
            with safe_open(segment.path, framework="pt") as file:
                mapped: Tensor = file.get_slice(segment.array)[rows]
        else:  # mode "c": what is changed in memory changes no file
            mapped = torch.from_numpy(open_memmap(segment.path, mode="c")[rows])
        if mapped.shape != (segment.rows, segment.dim):
            raise ValueError(f"it has {list(mapped.shape)} for rows {rows.start:,} to {rows.stop:,}")
    except (OSError, ValueError, SafetensorError) as error:
        what = f"{segment.path} is not what it was when it was opened: {error}"
        raise user_error(what, "leave files alone while they are read") from None
    return mapped


def _stamp(path: Path) -> tuple[int, ...]:
    """Read what changes when a file is written anew: size, time of the last change, number; () without it."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino


def locate(path: Path, array: str | None = None) -> Segment:
    """Find the matrix in a file by its header alone.

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
        path.open("rb").close()  # safetensors says less of why it cannot
        stamp = _stamp(path)  # before its header is read
        segment = replace(readers[path.suffix](path, array), stamp=stamp)
    except OSError as error:
        raise user_error(f"{path} cannot be read: {error.strerror}", "give the path of a file") from None
    if not segment.rows or not segment.dim:
        what = f"{path} has shape {[segment.rows, segment.dim]}: nothing in it"
        raise user_error(what, "give rows and columns")
    return segment


def _locate_npy(path: Path, _: str | None) -> Segment:
    from numpy.lib.format import open_memmap

    try:
        array = open_memmap(path, mode="r")
    except ValueError as error:
        what = f"{path} is truncated or not a readable .npy: {error}"
        raise user_error(what, "write it again with numpy.save, or copy it again") from None
    kind = array.dtype
    if (
        array.ndim != 2
        or kind.name not in _FLOATS.values()
        or not kind.isnative
        or not array.flags.c_contiguous
    ):
        order = "" if array.flags.c_contiguous else " in columns"
        remedy = "save rows of floats: numpy.save(path, numpy.ascontiguousarray(x, 'float32'))"
        raise user_error(f"{path} is {kind.str} {list(array.shape)}{order}", remedy)
    return Segment(path, "", kind.name, array.shape[1], 0, array.shape[0])


def _locate_safetensors(path: Path, array: str | None) -> Segment:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        what = f"{path} is truncated or not a readable .safetensors: {error}"
        raise user_error(what, "write it again with safetensors.torch.save_file, or copy it again") from None
    if array is not None and array not in headers:
        raise user_error(f"{path} has no array {array!r}", f"it has {', '.join(headers)}")
    found = [
        Segment(path, name, _FLOATS[header.get_dtype()], header.get_shape()[1], 0, header.get_shape()[0])
        for name, header in headers.items()
        if array in (None, name) and header.get_dtype() in _FLOATS and len(header.get_shape()) == 2
    ]
    if len(found) != 1:
        names = ", ".join(segment.array for segment in found)
        remedy = (
            "say which matrix of floats is meant: array=NAME" if found else "give a matrix of floats [N, d]"
        )
        raise user_error(f"{path} has {names or 'no matrix of floats'}", remedy)
    return found[0]
