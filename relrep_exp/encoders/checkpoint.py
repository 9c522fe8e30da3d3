"""A checkpoint's folder: the key is made of one list of its files, and nothing but these is loaded."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem, UserError, user_error
from relrep_exp.store.inputs import is_file, reading

if TYPE_CHECKING:
    from torch import nn

_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it
_LEAST_TENSOR = 64  # bytes, of an old pickle whose tensors cannot be counted
_SPARE = 1000  # tensors that a model may have beyond its checkpoint's, which are told by name later on
_SPARE_NUMBERS = 10_000_000
_MOST = 2_000_000  # of whatever is counted in a config.json, labels say
_LAYERS = re.compile(r"(num_|n_)?(\w+_)?(layers?|depth|depths|blocks)")
_COUNTS = re.compile(r"(num|n)_\w+")


def inside(folder: Path, name: str) -> Path:
    """Find a file that lies in the folder, also behind links; the hub's own cache links into its blobs.

    Raises:
        UserError: the name, or a link, leads out of the folder.
    """
    parts, path = PurePosixPath(name), folder / name
    with reading(path):
        real, home = path.resolve(), folder.resolve()
    homes = [home, home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [home]
    if parts.is_absolute() or ".." in parts.parts or not any(real.is_relative_to(one) for one in homes):
        what = f"{folder}: {name} leads out of the folder, to {real}"
        raise user_error(what, "copy that file into the folder, and name it there")
    return path


def shards(folder: Path, index: str) -> list[str]:
    """Name the files that an index of weights names, sorted.

    Raises:
        UserError: it is no index, or a file of it is missing.
    """
    path = inside(folder, index)
    remedy = "copy or download the checkpoint again"
    try:
        with reading(path):
            names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        found = [name for name in names if is_file(inside(folder, name))]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{path} is no index of weights ({type(error).__name__}: {error})"
        raise user_error(what, remedy) from None
    if missing := [name for name in names if name not in found]:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise user_error(f"{path} names {len(missing)} files that are not there: {some}", remedy)
    return found


def listing_problems(files: Callable[[Path], object], folder: Path, key: str) -> list[Problem]:
    """Find what keeps the files of a folder, which `files` lists, from being loaded; `key` names it."""
    try:
        files(folder)
    except UserError as error:
        return [replace(one, what=f"{key}: {one.what}") for one in error.problems]
    return []


@contextmanager
def staged(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Give a folder that holds these files of a checkpoint and no others, as links, for the block.

    Whatever a library looks for beside them it does not find, so what is not in the key is not read. The
    problems of a UserError name the checkpoint's own folder.
    """
    with tempfile.TemporaryDirectory(prefix="relrep-") as made:
        here = Path(made).resolve()
        for name in names:
            link = here / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(inside(folder, name).resolve())
        try:
            yield here
        except UserError as error:
            raise UserError(
                Problem(p.what.replace(str(here), str(folder)), p.remedy.replace(str(here), str(folder)))
                for p in error.problems
            ) from error.__cause__


def require_counts(weights: Iterable[Path], settings: Mapping[str, Any]) -> None:
    """Refuse counts of layers, labels and the like in a config.json that its weights cannot have.

    Raises:
        ValueError: there is one.
    """
    most = _most_tensors(weights)
    for name, value in _integers(settings):
        layers = value > most and _LAYERS.fullmatch(name)
        if layers or (value > _MOST and _COUNTS.fullmatch(name)):
            raise ValueError(f"config.json says {name}={value}, far more than the weights hold")


@contextmanager
def no_larger_than(weights: Sequence[Path]) -> Iterator[None]:
    """Stop the building of a model with far more parameters than its weights, which could take for ever.

    Raises:
        ValueError: the configuration describes such a model.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

    left = _most_tensors(weights)
    room = 8 * sum(path.stat().st_size for path in weights) + _SPARE_NUMBERS  # the smallest types have 4 bits

    def count(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal left, room
        left, room = left - 1, room - (0 if parameter is None else parameter.numel())
        if left < 0 or room < 0:
            raise ValueError("config.json describes a model far larger than the weights")

    handle = on_parameter(count)
    try:
        yield
    finally:
        handle.remove()


def _most_tensors(weights: Iterable[Path]) -> int:
    return 4 * sum(map(_tensors, weights)) + _SPARE


def _integers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """List the whole numbers of nested settings, each with the name of the nearest key."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _integers(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _integers(item, name)
    elif isinstance(value, int):
        yield name, value


def _tensors(path: Path) -> int:
    """Count the tensors of a file of weights, or bound their number; 0 in a damaged one."""
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            return stream.read(min(length, _LONGEST_HEADER)).count(b"data_offsets")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return len(archive.namelist())
    return size // _LEAST_TENSOR
