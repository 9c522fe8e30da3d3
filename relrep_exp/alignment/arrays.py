"""Embeddings as users have them, read as tensors [N, d]; what is made of them goes back as what was given."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sized
from typing import Any, NoReturn, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from relrep_exp.training.numbers import wide


class Rows(Protocol):
    """Embeddings or features of K samples, some are taken at a time: a tensor, what makes or reads them."""

    def __len__(self) -> int:
        """K."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Some of them, [n, d]."""


Array: TypeAlias = NDArray[np.floating[Any]]
Embeddings: TypeAlias = Rows | ArrayLike  # tensors and `FileRows`; numpy, pandas, lists


def is_rows(x: object) -> bool:
    """Tell whether x is a tensor or `FileRows`, a slice of which is a tensor."""
    if isinstance(x, Tensor):
        return True
    array = isinstance(x, np.ndarray | list | tuple | Mapping | str) or hasattr(x, "iloc")
    array = array or hasattr(x, "toarray")  # some sparse matrices have no slices
    return not array and hasattr(x, "shape") and hasattr(x, "__getitem__") and isinstance(x[:1], Tensor)


def rows_of(x: Any, name: str = "x", *, column: bool = False) -> Tensor:
    """Read embeddings [N, d] as a tensor of float32 or float64.

    Tensors stay on their device and keep their gradient, arrays are not copied, rows of files are mapped.
    Half precision is read as float32; integers and booleans are read as float64, as scikit-learn does.

    Args:
        x: a tensor of any dtype and device, `FileRows`, a numpy array, a DataFrame, a list of rows.
        name: what messages call it.
        column: whether one number for each sample, [N], is read as [N, 1].

    Raises:
        ValueError: no matrix of finite numbers.
        TypeError: nothing that could be one.
    """
    if is_rows(x):
        rows = _widened(x if isinstance(x, Tensor) else x[:], name)
    else:
        rows = _tensor(_array(x, name), name)
    if column and rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2:
        example = ": x[None] for one sample, x[:, None] for one feature" if rows.ndim == 1 else ""
        shape = tuple(rows.shape)
        raise ValueError(f"{name} has shape {shape}, not [N, d]. Reshape your data{example}")
    if not rows.shape[1]:
        shape = tuple(rows.shape)
        raise ValueError(f"{name}: 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
    check_finite(rows, name)
    return rows


def opened(x: Any, name: str) -> Rows:
    """Read embeddings as `rows_of` does, without a gradient, but leave rows of files in the files."""
    return x if is_rows(x) and not isinstance(x, Tensor) else rows_of(x, name).detach()


def check_finite(x: Tensor, name: str) -> None:
    """Refuse rows [N, d] that are not finite.

    Raises:
        ValueError: the message has the number of the first.
    """
    if bool(torch.isfinite(x.detach().sum())):  # twice as fast, and cannot be if any number is not
        return
    finite = torch.isfinite(x.detach()).all(1)
    if not bool(finite.all()):
        row = int(finite.logical_not().int().argmax())
        raise ValueError(f"{name}: the embeddings hold NaN or infinite values, the first in row {row:,}")


def parallel_of(spaces: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read the embeddings of each encoder, all on the device of the first, without their gradients.

    Raises:
        ValueError: not a mapping, or as of `rows_of`.
        TypeError: as of `rows_of`.
    """
    check_mapping(spaces)
    read = {name: rows_of(x, repr(name)).detach() for name, x in spaces.items()}
    return {name: x.to(next(iter(read.values())).device) for name, x in read.items()}


def common_rows(spaces: Mapping[str, Sized]) -> int:
    """Count the rows that all have.

    Raises:
        ValueError: no encoder, or rows that are not parallel.
    """
    rows = {name: len(space) for name, space in spaces.items()}
    if not rows:
        raise ValueError("no encoder given")
    if len(set(rows.values())) > 1:
        raise ValueError(f"rows must be parallel, the same samples for every encoder; got {rows}")
    return next(iter(rows.values()))


def check_mapping(spaces: object) -> None:
    """Refuse what does not name its encoders.

    Raises:
        ValueError: not a mapping.
    """
    if not isinstance(spaces, Mapping):
        raise ValueError(f"give {{name: embeddings [N, d]}}, a dictionary of encoders, not {kind_of(spaces)}")


def numbers_of(ids: Any, name: str) -> Tensor:
    """Read row numbers [K] as a tensor int64.

    Raises:
        ValueError: they are none.
    """
    numbers = ids if isinstance(ids, Tensor) else torch.empty(0)
    if not isinstance(ids, Tensor) and (held := np.array(ids)).dtype.kind in "iu":
        numbers = torch.from_numpy(held.astype(np.int64))
    whole = not (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool)
    if numbers.ndim != 1 or not whole or bool((numbers < 0).any()):
        raise ValueError(f"{name} must be row numbers [K] from 0 on, not {ids!r}")
    return numbers.long()


def given_back(made: Tensor, x: object) -> Any:
    """Give what was made of x as a tensor for a tensor or `FileRows`, on its device, else as an array."""
    if isinstance(x, Tensor):
        return made.to(x.device)
    return made.cpu() if is_rows(x) else made.numpy(force=True)


def kind_of(x: object) -> str:
    """Name what was given."""
    shape = getattr(x, "shape", None)
    return type(x).__name__ + (f" of shape {tuple(shape)}" if isinstance(shape, Iterable) else "")


def _widened(x: Tensor, name: str) -> Tensor:
    """Make floats, float32 or float64, of a tensor's numbers."""
    if x.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor: give {name}.to_dense()")
    if x.is_complex():
        raise ValueError(f"Complex data not supported: {name} is {x.dtype}, give real numbers")
    if not x.is_floating_point():
        return x.double()
    return wide(x if x.dtype in (torch.float64, torch.float16, torch.bfloat16) else x.float())


def _array(x: Any, name: str) -> NDArray[Any]:
    """Make an array of what is no tensor."""
    if hasattr(x, "toarray"):
        raise TypeError(f"{name} is a sparse matrix, which is not supported: give {name}.toarray()")
    if isinstance(x, str | bytes | Mapping) or x is None:
        _refuse(x, name)
    if np.ma.is_masked(x):
        raise ValueError(f"{name} is a masked array with masked values: fill them, or leave their rows out")
    try:
        if isinstance(x, list | tuple) and x and all(isinstance(row, Tensor) for row in x):
            return np.asarray(torch.stack([_widened(row.detach().cpu(), name) for row in x]))
        if hasattr(x, "iloc") and hasattr(x, "to_numpy"):  # NA of pandas' own types is NaN
            found: NDArray[Any] = x.to_numpy()
            return x.to_numpy(dtype="float64", na_value=np.nan) if found.dtype == object else found
        return np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: rows must be numbers, as many in each ({error})") from None


def _tensor(x: NDArray[Any], name: str) -> Tensor:
    """Make a tensor of an array's numbers, of the same memory where they are floats."""
    if x.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} is {x.dtype}, give real numbers")
    if x.dtype.kind == "O" and x.ndim:
        try:
            x = x.astype(np.float64)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name} has dtype object, and not all entries are numbers: {error}") from None
    if x.dtype.kind not in "fiub":
        _refuse(x, name)
    half = x.dtype == np.float16
    dtype = np.float32 if half or x.dtype in (np.float32, ">f4") else np.float64
    held = np.ascontiguousarray(x, dtype) if x.ndim else x.astype(dtype)
    with warnings.catch_warnings():  # of arrays that cannot be written: nothing here writes
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(held)


def _refuse(x: object, name: str) -> NoReturn:
    dtype = f" ({x.dtype})" if isinstance(x, np.ndarray) else ""
    raise TypeError(
        f"{name}: give numbers [N, d] as a tensor, an array, a DataFrame or a list, not {kind_of(x)}{dtype}"
    )
