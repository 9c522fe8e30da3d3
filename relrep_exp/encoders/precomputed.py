"""The user's own embeddings, from an .npz, a .safetensors or a folder of .npy; nothing there is executed.

One 2-D float array [N, d_i] per encoder (rows parallel), `labels` [N] and `is_train` [N] bool. Without labels
nothing is classified; without `is_train` the split is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders.array_files import ArrayFile, Header, open_arrays, read_all
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.errors import Problem, UserError, nearest, user_error
from relrep_exp.store.inputs import expanded
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LABELS, SPLIT = RESERVED = ("labels", "is_train")
LARGEST = 1e18  # squares of what is larger overflow float32
FORMAT = "one 2-D float array [N, d] per encoder, `labels` [N] and `is_train` [N] bool"
TEST_SHARE = 0.2  # of each class, where there is no `is_train`
NO_LABELS = "none: retrieval metrics alone"
_LOG = logging.getLogger("relrep_exp")


@dataclass(frozen=True)
class _Found:
    """The arrays that a run reads: encoders, and which of `RESERVED` there are."""

    file: ArrayFile
    encoders: list[str]
    beside: list[str]


def identity(zoo: PrecomputedZoo) -> dict[str, Any]:
    """Tell the digests of the files that are read, and the encoders chosen.

    Raises:
        UserError: there is no such file, or it does not hold what is needed.
    """
    found = _find(zoo)
    digests = {name: found.file.digest(name) for name in (*found.encoders, *found.beside)}
    one = len(set(digests.values())) == 1 and found.file.path.is_file()
    return {"sha256": next(iter(digests.values())) if one else digests, "encoders": zoo.encoders}


def keys(zoo: PrecomputedZoo, seed: int) -> dict[str, str]:
    """Name each encoder's embeddings, by the headers alone; arrays are not read or checked.

    Args:
        zoo: the file.
        seed: the run's, which draws a split where the file has none.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    return _keys(_find(zoo), seed)


def load(zoo: PrecomputedZoo, seed: int) -> Embeddings:
    """Read and check the arrays.

    Args:
        zoo: the file.
        seed: the run's, which draws a split where the file has none.

    Raises:
        UserError: everything that is wrong with them, in one message.
    """
    import torch

    found = _find(zoo)
    headers = found.file.headers
    wrong = {name: told for name in found.encoders if (told := _type_problem(name, headers[name]))}
    good = [name for name in found.encoders if name not in wrong]
    arrays = read_all(found.file, [*good, *found.beside])
    classes, problems = _classes(arrays.get(LABELS))
    counted = next(iter([*found.beside, *good]), "")
    rows = len(arrays[counted]) if counted and arrays[counted].ndim else 0
    split, notes = arrays.get(SPLIT), _notes(found, zoo.encoders is not None)
    if split is None:
        split = _drawn(classes, rows, seed)
        notes["split"] = f"drawn by the seed, {int(split.sum())} of {rows} rows for training"
    problems = problems or _split_problems(split, classes, rows, arrays.get(LABELS))
    train = None if problems else split.astype(bool)
    for name in found.encoders:
        problems += wrong.get(name) or _space_problems(name, arrays[name], (counted, rows), train)
    if problems:
        raise UserError(problems)
    assert train is not None
    if constant := _constant(arrays, found.encoders, train):
        notes["constant_columns"] = constant
    for about, said in notes.items():
        _LOG.warning("%s: %s: %s", zoo.path, about.replace("_", " "), said)
    labels, is_train = None if classes is None else torch.from_numpy(classes), torch.from_numpy(train)
    corpora = {
        name: Corpus(torch.from_numpy(arrays[name].astype("float32")), is_train, labels)
        for name in found.encoders
    }
    return Embeddings(corpora, corpora, _keys(found, seed), notes)


def _find(zoo: PrecomputedZoo) -> _Found:
    """Find the arrays by their headers, in the file's order or the user's.

    Raises:
        UserError: they are not there, or are no embeddings; every problem.
    """
    file = open_arrays(expanded(zoo.path), f"zoo.path={zoo.path}")
    beside = [name for name in RESERVED if name in file.headers]
    matrices = [name for name in file.headers if name not in RESERVED]
    if zoo.encoders is None:  # notes and numbers of rows may lie beside embeddings
        names = [name for name in matrices if _meant(file.headers[name])]
    else:
        names = zoo.encoders
    unknown = [
        Problem(f"zoo.encoders: no array {name!r}", nearest(name, matrices))
        for name in names
        if name not in matrices
    ]
    if unknown:
        raise UserError(unknown)
    if len(set(names)) < 2:
        what = f"{len(set(names))} encoder in {zoo.path}: stitching needs at least two"
        raise user_error(what, f"the file holds {FORMAT}")
    return _Found(file, list(dict.fromkeys(names)), beside)


def _meant(header: Header) -> bool:
    """Whether an array is, or may have been meant as, embeddings: a matrix, or Python objects."""
    return header.kind == "O" or (len(header.shape) > 1 and header.kind in "fiucb")


def _type_problem(name: str, header: Header) -> list[Problem]:
    """Tell of what is no embeddings by its header."""
    if header.kind == "f" and len(header.shape) == 2:
        return []
    if header.kind == "O":
        what = f"array {name!r} holds pickled Python objects, which are never loaded"
        remedy = "save plain arrays, numpy.savez(path, a=x_a.astype('float32'), ...)"
    else:
        what = f"encoder {name!r} is {header}"
        remedy = f"give a 2-D float array; reserved names are {', '.join(RESERVED)}"
    return [Problem(what, f"{remedy}; or name the others in zoo.encoders")]


def _keys(found: _Found, seed: int) -> dict[str, str]:
    """The key of each encoder's embeddings and split: statistics of training rows are kept under it."""
    drawn: dict[str, Any] = {} if SPLIT in found.beside else {"seed": seed}
    if found.file.path.is_dir():
        drawn["beside"] = {name: found.file.digest(name) for name in found.beside}
    return {
        name: content_key({"sha256": found.file.digest(name), "array": name, **drawn})
        for name in found.encoders
    }


def _notes(found: _Found, chosen: bool) -> dict[str, Any]:
    """What is not taken from the file though nobody chose others, and what is not in it."""
    taken = [*found.encoders, *found.beside]
    left = [] if chosen else [name for name in found.file.headers if name not in taken]
    notes: dict[str, Any] = {}
    if ignored := [*left, *found.file.others]:
        notes["ignored"] = ignored
    if LABELS not in found.beside:
        notes["labels"] = NO_LABELS
    return notes


def _classes(labels: Array | None) -> tuple[Array | None, list[Problem]]:
    """Number the classes in sorted order, int64 [N]; None where there are no labels."""
    import numpy as np

    if labels is None:
        return None, []
    remedy = "give a whole number or a name for each row, [N], or leave labels out: retrieval metrics alone"
    if labels.ndim != 1 or labels.dtype.kind not in "iubfUS":
        return None, [Problem(f"labels is {labels.dtype} {labels.shape}", remedy)]
    if labels.dtype.kind == "f" and len(odd := labels[~(np.isfinite(labels) & (labels == np.round(labels)))]):
        return None, [
            Problem(f"labels holds {odd[0]}, which is no class, and {len(odd)} such rows in all", remedy)
        ]
    _, numbered = np.unique(labels, return_inverse=True)
    return numbered.astype(np.int64), []


def _drawn(classes: Array | None, rows: int, seed: int) -> Array:
    """Draw a split bool [N] by the seed: of each class `TEST_SHARE` for tests, rounded, and never all."""
    import numpy as np

    from relrep_exp.training.seeding import scoped_seed

    draws = np.random.default_rng(scoped_seed(seed, "split"))
    train = np.ones(rows, dtype=bool)
    groups = (
        [np.arange(rows)] if classes is None else [np.flatnonzero(classes == k) for k in np.unique(classes)]
    )
    for members in groups:
        train[draws.permutation(members)[: int(len(members) * TEST_SHARE + 0.5)]] = False
    return train


def _split_problems(split: Array, classes: Array | None, rows: int, labels: Array | None) -> list[Problem]:
    """Find what is wrong with the split, and with classes in it."""
    alike = split.shape == (rows,) and split.dtype.kind in "biu"
    if not alike or not set(split.astype(int).tolist()) <= {0, 1}:
        remedy = f"give booleans [{rows}], or leave is_train out: then the seed draws a split"
        return [Problem(f"is_train is {split.dtype} {split.shape}", remedy)]
    train = split.astype(bool)
    if train.sum() < 2 or (~train).sum() < 2:
        what = f"{train.sum()} training and {(~train).sum()} test rows"
        return [Problem(what, "is_train must mark at least two rows and leave at least two")]
    if classes is None or labels is None:
        return []
    if len(set(classes[train].tolist())) < 2:
        remedy = "give samples of at least two classes, or leave labels out: retrieval metrics alone"
        return [Problem(f"all training labels are {labels[train][0]}", remedy)]
    if unseen := sorted(set(labels[~train].tolist()) - set(labels[train].tolist())):
        return [Problem(f"test labels {unseen[:5]} never occur in training", "mark some of them is_train")]
    return []


def _space_problems(name: str, x: Array, others: tuple[str, int], train: Array | None) -> list[Problem]:
    """Find what is wrong with the embeddings of one encoder; `others` is what its rows are counted by."""
    import numpy as np

    if x.size == 0:
        return [Problem(f"encoder {name!r} has shape {x.shape}: nothing in it", "give rows and columns")]
    if len(x) != others[1]:
        remedy = "row n must be the same sample in every array"
        return [Problem(f"encoder {name!r} has {len(x)} rows, {others[0]} has {others[1]}", remedy)]
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
    if bool((seen.max(axis=0) == seen.min(axis=0)).all()):
        what = f"encoder {name!r}: all training samples have the same embedding"
        return [Problem(what, f"leave it out: name the others in zoo.encoders=[...], or mend {name!r}")]
    return []


def _constant(arrays: Mapping[str, Array], encoders: Iterable[str], train: Array) -> dict[str, int]:
    """Count the columns of each encoder that are the same in all training rows: those of dead units, say."""
    counts = {}
    for name in encoders:
        seen = arrays[name][train]
        if count := int((seen.max(axis=0) == seen.min(axis=0)).sum()):
            counts[name] = count
    return counts
