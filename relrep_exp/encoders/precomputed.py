"""The user's own embeddings, from .npz or .safetensors; nothing in the file is ever executed.

One 2-D float array [N, d_i] per encoder (rows parallel), `labels` [N] int, `is_train` [N] bool.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import Problem, UserError, nearest, user_error
from relrep_exp.store.keys import content_key, input_digest

if TYPE_CHECKING:
    import numpy as np

    Arrays = Mapping[str, np.ndarray[Any, Any]]

RESERVED = ("labels", "is_train")
# What zipfile raises for a damaged archive; RuntimeError where a flipped bit says that it is encrypted.
_DAMAGED_ZIP = (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError)
LARGEST = 1e18  # squares of what is larger overflow float32
FORMAT = "one 2-D float array [N, d] per encoder, `labels` [N] int and `is_train` [N] bool"


def identity(zoo: PrecomputedZoo) -> dict[str, Any]:
    """Tell the file's digest and the encoders chosen.

    Raises:
        UserError: there is no such file.
    """
    return {"sha256": input_digest(_existing(zoo)), "encoders": zoo.encoders}


def load(zoo: PrecomputedZoo) -> Embeddings:
    """Read and check the file.

    Raises:
        UserError: everything that is wrong with it, in one message.
    """
    import numpy as np
    import torch

    path = _existing(zoo)
    arrays = _read(path)
    chosen = _chosen(arrays, zoo)
    problems = _labels_problems(arrays)
    train = None if problems else arrays["is_train"].astype(bool)
    problems += _spaces_problems(chosen, _rows(arrays), train)
    if problems:
        raise UserError(problems)
    spaces = {name: torch.from_numpy(x.astype(np.float32)) for name, x in chosen.items()}
    _, labels = np.unique(arrays["labels"], return_inverse=True)
    keys = _keys(path, spaces)
    split, classes = (
        torch.from_numpy(arrays["is_train"].astype(bool)),
        torch.from_numpy(labels.astype(np.int64)),
    )
    corpora = {name: Corpus(x, split, classes) for name, x in spaces.items()}
    return Embeddings(corpora, corpora, keys)


def keys(zoo: PrecomputedZoo) -> dict[str, str]:
    """Name each encoder's embeddings; arrays are not read, nor checked.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    path = _existing(zoo)
    names = zoo.encoders
    if names is None:
        names = [name for name in _names(path) if name not in RESERVED]
    return _keys(path, names)


def _names(path: Path) -> list[str]:
    """The arrays of a file, in its order, by its table of contents alone."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        header.pop("__metadata__", None)
        return sorted(header, key=lambda name: header[name]["data_offsets"])
    except (*_DAMAGED_ZIP, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise user_error(f"{path} cannot be read: {error}", f"the file must hold {FORMAT}") from None


def _keys(path: Path, names: Iterable[str]) -> dict[str, str]:
    digest = input_digest(path)
    return {name: content_key({"sha256": digest, "array": name}) for name in names}


def _existing(zoo: PrecomputedZoo) -> Path:
    path = Path(zoo.path).expanduser()
    if not path.is_file():
        raise user_error(
            f"zoo.path={zoo.path}: there is no such file", "give the path of an .npz or .safetensors"
        )
    return path


def _read(path: Path) -> Arrays:
    """All arrays of the file."""
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise user_error(
            f"{path}: {path.suffix or 'no'} suffix", "save as .npz (numpy.savez) or .safetensors"
        )
    return readers[path.suffix](path)


def _read_npz(path: Path) -> Arrays:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise user_error(f"{path} cannot be read: {error}", "write it again with numpy.savez") from None
        raise user_error(
            f"{path} holds pickled Python objects, which are never loaded",
            "save plain arrays: numpy.savez(path, a=x_a.astype('float32'), ...)",
        ) from None
    except _DAMAGED_ZIP as error:
        raise user_error(
            f"{path} is not a readable .npz: {error}", "write it again with numpy.savez"
        ) from None


def _read_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, OSError) as error:
        remedy = "write it again with safetensors.numpy.save_file; float32 is safe"
        raise user_error(f"{path} is not a readable .safetensors: {error}", remedy) from None


def _chosen(arrays: Arrays, zoo: PrecomputedZoo) -> Arrays:
    """The encoders' arrays, in the file's order or the user's."""
    available = {name: x for name, x in arrays.items() if name not in RESERVED}
    names = zoo.encoders if zoo.encoders is not None else list(available)
    unknown = [
        Problem(f"zoo.encoders: no array {n!r}", nearest(n, available)) for n in names if n not in available
    ]
    if unknown:
        raise UserError(unknown)
    if len(set(names)) < 2:
        raise user_error(
            f"{len(set(names))} encoder in {zoo.path}: stitching needs at least two",
            f"the file holds {FORMAT}",
        )
    return {name: available[name] for name in names}


def _rows(arrays: Arrays) -> int | None:
    labels = arrays.get("labels")
    return len(labels) if labels is not None and labels.ndim == 1 else None


def _labels_problems(arrays: Arrays) -> list[Problem]:
    """What is wrong with labels and split."""
    missing = [name for name in RESERVED if name not in arrays]
    if missing:
        return [Problem(f"array {name!r} is missing", f"the file holds {FORMAT}") for name in missing]
    labels, split = arrays["labels"], arrays["is_train"]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return [Problem(f"labels is {labels.dtype} {labels.shape}", "give integers [N]")]
    if (
        split.shape != labels.shape
        or split.dtype.kind not in "biu"
        or not set(split.astype(int).tolist()) <= {0, 1}
    ):
        return [Problem(f"is_train is {split.dtype} {split.shape}", f"give booleans [{len(labels)}]")]
    return _split_problems(labels, split.astype(bool))


def _split_problems(labels: np.ndarray[Any, Any], split: np.ndarray[Any, Any]) -> list[Problem]:
    problems = []
    train, test = labels[split], labels[~split]
    if len(train) < 2 or len(test) < 2:
        what = f"{len(train)} training and {len(test)} test rows"
        problems.append(Problem(what, "is_train must mark at least two rows and leave at least two"))
    elif len(set(train.tolist())) < 2:
        problems.append(
            Problem(f"all training labels are {train[0]}", "give samples of at least two classes")
        )
    elif unseen := sorted(set(test.tolist()) - set(train.tolist())):
        problems.append(
            Problem(f"test labels {unseen[:5]} never occur in training", "mark some of them is_train")
        )
    return problems


def _spaces_problems(spaces: Arrays, rows: int | None, train: np.ndarray[Any, Any] | None) -> list[Problem]:
    problems = []
    for name, x in spaces.items():
        if x.ndim != 2 or x.dtype.kind != "f":
            remedy = f"give a 2-D float array; reserved names are {', '.join(RESERVED)}"
            problems.append(Problem(f"encoder {name!r} is {x.dtype} {x.shape}", remedy))
        elif x.size == 0:
            problems.append(
                Problem(f"encoder {name!r} has shape {x.shape}: nothing in it", "give rows and columns")
            )
        elif rows is not None and len(x) != rows:
            remedy = "row n must be the same sample in every array"
            problems.append(Problem(f"encoder {name!r} has {len(x)} rows, labels has {rows}", remedy))
        else:
            problems += _values_problems(name, x, train)
    return problems


def _values_problems(name: str, x: np.ndarray[Any, Any], train: np.ndarray[Any, Any] | None) -> list[Problem]:
    import numpy as np

    with np.errstate(over="ignore"):
        finite = np.abs(x.astype(np.float32)) < LARGEST  # false for NaN, too
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        bad = int((~finite.all(axis=1)).sum())
        what = f"encoder {name!r}: NaN, infinity or beyond 1e18 in {bad} rows, the first is row {row}"
        return [Problem(what, "remove these samples from every array, or mend the encoder")]
    seen = x if train is None else x[train]  # statistics see training rows only
    constant = np.flatnonzero(seen.max(axis=0) == seen.min(axis=0))
    if len(constant) == x.shape[1]:
        what = f"encoder {name!r}: all training samples have the same embedding"
        return [Problem(what, f"leave it out: name the others in zoo.encoders=[...], or mend {name!r}")]
    if len(constant):
        some = f"{len(constant)} of {x.shape[1]} columns are constant in training, e.g. {constant[0]}"
        remedy = f"drop them: x[:, x.max(0) > x.min(0)] keeps {x.shape[1] - len(constant)}"
        return [Problem(f"encoder {name!r}: {some}", remedy)]
    return []
