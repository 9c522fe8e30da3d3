"""Embeddings that stay in files: mapped into memory a slice at a time."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.array_files import Segment, locate

if TYPE_CHECKING:  # torch takes seconds to import, and a look at what is there does without
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


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
    import torch

    before = segment.offset % mmap.ALLOCATIONGRANULARITY
    size = segment.rows * segment.row_bytes
    try:
        with segment.path.open("rb") as stream:
            mapped = mmap.mmap(
                stream.fileno(), before + size, access=mmap.ACCESS_COPY, offset=segment.offset - before
            )
    except (OSError, ValueError) as error:
        what = f"{segment.path} is not what it was when it was opened: {error}"
        raise user_error(what, "leave files alone while they are read") from None
    dtype: torch.dtype = getattr(torch, segment.dtype)
    count = segment.rows * segment.dim
    return torch.frombuffer(mapped, dtype=dtype, count=count, offset=before).view(segment.rows, segment.dim)


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
