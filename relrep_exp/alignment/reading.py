"""Read embeddings of an encoder that is in a space: whole, block after block, or into a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from relrep_exp.alignment.arrays import Array, Embeddings, Rows, given_back, is_rows, opened, rows_of
from relrep_exp.alignment.members import check_dimension
from relrep_exp.alignment.whitening import blocks_of
from relrep_exp.store.files import write_npy
from relrep_exp.training.numbers import as_shipped


@dataclass(frozen=True)
class Reader:
    """What reads one encoder.

    Attributes:
        dim: d of its embeddings.
        device: where it computes.
        project: x [N, d] -> [N, m].
    """

    dim: int
    device: torch.device
    project: Callable[[Tensor], Tensor]


class Reading(ABC):
    """A space that reads embeddings of the encoders in it.

    Embeddings may be a tensor of any float dtype and device, `FileRows`, a numpy array, a DataFrame or lists.
    A tensor comes out for a tensor, on its device and with its gradient, and for `FileRows`; else an array.
    """

    @overload
    def transform(self, x: Rows, encoder: str) -> Tensor: ...

    @overload
    def transform(self, x: ArrayLike, encoder: str) -> Array: ...

    @as_shipped()
    def transform(self, x: Embeddings, encoder: str) -> Tensor | Array:
        """Bring x [N, d] of an encoder into the space, [N, m].

        Raises:
            NotFittedError: before `fit`.
            ValueError: the encoder is unknown, x has another dimension or is not finite.
            TypeError: x is nothing that could be embeddings.
        """
        reader = self._reader(encoder)
        rows = rows_of(x, f"x of {encoder!r}")
        check_dimension(encoder, rows, reader.dim)
        made: Tensor | Array = given_back(reader.project(rows.to(reader.device)), x)
        return made

    @overload
    def transform_blocks(self, x: Rows, encoder: str) -> Iterator[Tensor]: ...

    @overload
    def transform_blocks(self, x: ArrayLike, encoder: str) -> Iterator[Array]: ...

    def transform_blocks(self, x: Embeddings, encoder: str) -> Iterator[Tensor] | Iterator[Array]:
        """Do the same with any number of rows, block after block, [n, m]; memory does not grow with N.

        Args:
            x: a tensor, `FileRows` or an array, [N, d].
            encoder: that made them.

        Raises:
            ValueError: as of `transform`, before the first block; of NaN in files, when they are read.
        """
        return (given_back(block, x) for block in self._blocks(x, encoder))

    def transform_file(self, x: Embeddings, encoder: str, out: str | Path) -> None:
        """Do the same into a .npy file [N, m], which appears whole or not at all; `numpy.load` can map it.

        Raises:
            ValueError: as of `transform`.
            UserError: the disk has not the room, or the folder cannot be written.
        """
        rows: Any = x if is_rows(x) else rows_of(x, f"x of {encoder!r}")
        write_npy(Path(out), len(rows), self._blocks(rows, encoder))

    def _blocks(self, x: Embeddings, encoder: str) -> Iterator[Tensor]:
        """Check what is given, and read it in blocks."""
        reader, name = self._reader(encoder), f"x of {encoder!r}"
        rows = rows_of(x, name) if isinstance(x, Tensor) else opened(x, name)  # with its gradient
        check_dimension(encoder, rows[:1], reader.dim)
        blocks = blocks_of(rows, reader.device)
        return (reader.project(rows_of(block, name).to(reader.device)) for _, block in blocks)

    @abstractmethod
    def _reader(self, encoder: str) -> Reader:
        """Find what reads an encoder.

        Raises:
            ValueError: it never joined.
        """
