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
from relrep_exp.store.inputs import input_digest
from relrep_exp.store.keys import content_key

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
    labels = arrays.get("labels")
    rows = len(labels) if labels is not None and labels.ndim == 1 else None
    for name, x in chosen.items():
        problems += _space_problems(name, x, rows, train)
    if problems:
        raise UserError(problems)
    _, numbered = np.unique(arrays["labels"], return_inverse=True)
    classes, split = (
        torch.from_numpy(numbered.astype(np.int64)),
        torch.from_numpy(arrays["is_train"].astype(bool)),
    )
    corpora = {
        name: Corpus(torch.from_numpy(x.astype(np.float32)), split, classes) for name, x in chosen.items()
    }
    return Embeddings(corpora, corpora, _keys(path, chosen))


def keys(zoo: PrecomputedZoo) -> dict[str, str]:
    """Name each encoder's embeddings, by the file's table of contents alone; arrays are not read or checked.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    path = _existing(zoo)
    if zoo.encoders is not None:
        return _keys(path, zoo.encoders)
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
        else:
            with path.open("rb") as stream:
                header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
            header.pop("__metadata__", None)
            names = sorted(header, key=lambda name: header[name]["data_offsets"])
    except (*_DAMAGED_ZIP, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise user_error(f"{path} cannot be read: {error}", f"the file must hold {FORMAT}") from None
    return _keys(path, [name for name in names if name not in RESERVED])


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
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # numpy has no bfloat16, whose numbers are float32's
        tensors = {name: x.float() if x.dtype == torch.bfloat16 else x for name, x in load_file(path).items()}
        return {name: x.numpy() for name, x in tensors.items()}
    except (SafetensorError, KeyError, OSError, TypeError) as error:
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


def _labels_problems(arrays: Arrays) -> list[Problem]:
    """Find what is wrong with labels and split."""
    missing = [name for name in RESERVED if name not in arrays]
    if missing:
        return [Problem(f"array {name!r} is missing", f"the file holds {FORMAT}") for name in missing]
    labels, split = arrays["labels"], arrays["is_train"]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return [Problem(f"labels is {labels.dtype} {labels.shape}", "give integers [N]")]
    alike = split.shape == labels.shape and split.dtype.kind in "biu"
    if not alike or not set(split.astype(int).tolist()) <= {0, 1}:
        return [Problem(f"is_train is {split.dtype} {split.shape}", f"give booleans [{len(labels)}]")]
    train, test = labels[split.astype(bool)], labels[~split.astype(bool)]
    if len(train) < 2 or len(test) < 2:
        what = f"{len(train)} training and {len(test)} test rows"
        return [Problem(what, "is_train must mark at least two rows and leave at least two")]
    if len(set(train.tolist())) < 2:
        return [Problem(f"all training labels are {train[0]}", "give samples of at least two classes")]
    if unseen := sorted(set(test.tolist()) - set(train.tolist())):
        return [Problem(f"test labels {unseen[:5]} never occur in training", "mark some of them is_train")]
    return []


def _space_problems(
    name: str, x: np.ndarray[Any, Any], rows: int | None, train: np.ndarray[Any, Any] | None
) -> list[Problem]:
    """Find what is wrong with the embeddings of one encoder."""
    import numpy as np

    if x.ndim != 2 or x.dtype.kind != "f":
        remedy = f"give a 2-D float array; reserved names are {', '.join(RESERVED)}"
        return [Problem(f"encoder {name!r} is {x.dtype} {x.shape}", remedy)]
    if x.size == 0:
        return [Problem(f"encoder {name!r} has shape {x.shape}: nothing in it", "give rows and columns")]
    if rows is not None and len(x) != rows:
        remedy = "row n must be the same sample in every array"
        return [Problem(f"encoder {name!r} has {len(x)} rows, labels has {rows}", remedy)]
    with np.errstate(over="ignore"):
        finite = (np.abs(x.astype(np.float32)) < LARGEST).all(axis=1)  # false for NaN, too
    if not finite.all():
        bad, first = int((~finite).sum()), int(np.flatnonzero(~finite)[0])
        what = f"encoder {name!r}: NaN, infinity or beyond 1e18 in {bad} rows, the first is row {first}"
        remedy = "remove these samples from every array, or mend the encoder"
        if x.dtype == np.float16:
            remedy += "; float16 ends at 65,504, which float32 does not"
        return [Problem(what, remedy)]
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
