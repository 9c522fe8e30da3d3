"""Images in tables: parquet, as the hub keeps them, CSV, TSV or JSON lines; each split in one or more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.image_samples import Split, TableImages
from relrep_exp.data.tables import literal
from relrep_exp.errors import Problem, UserError, nearest, user_error
from relrep_exp.store.keys import content_key, input_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import ImagesData

# suffix -> the reader in `datasets`, and what it needs to be told; the first suffix found is taken
_READERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    ".parquet": ("parquet", {}),
    ".csv": ("csv", {"keep_default_na": False}),  # a class may well be called NA
    ".tsv": ("csv", {"keep_default_na": False, "sep": "\t"}),
    ".jsonl": ("json", {}),
}


@dataclass(frozen=True)
class Tables:
    """The files of both splits: suffix, and "train" and "test" -> paths, sorted."""

    suffix: str
    files: Mapping[str, list[Path]]


def find(root: Path, names: Iterable[str], config: ImagesData) -> Tables | None:
    """Find the tables among the files of `root` that are named after the splits; None if there are none.

    Recognised are SPLIT.parquet, SPLIT-00000-of-00001.parquet, SPLIT/0000.parquet and the like, in any
    folder, and the same with .csv, .tsv and .jsonl.

    Raises:
        UserError: a split is missing, or it is not clear which subset is meant.
    """
    below = [root / name for name in names if name.endswith(tuple(_READERS))]
    splits = {"train": config.train, "test": config.test}
    for suffix in _READERS:
        candidates = [path for path in below if path.suffix == suffix]
        files = {split: [path for path in candidates if _is_of(path, name)] for split, name in splits.items()}
        if any(files.values()):
            return Tables(suffix, _of_subset(files, root, config))
    return None


def read(tables: Tables, root: Path, config: ImagesData) -> dict[str, Split]:
    """Read both splits; images stay on the disk, in Arrow's form and the cache of `datasets`.

    Raises:
        UserError: a table cannot be read or lacks a column; every problem.
    """
    rows = _loaded(tables)
    problems = [p for split in rows for p in _column_problems(rows[split], tables.files[split][0], config)]
    if problems:
        raise UserError(_distinct(problems))
    return {split: _split(rows[split], root, config) for split in ("train", "test")}


def _is_of(path: Path, split: str) -> bool:
    """Whether a file's name says that it holds this split, or a part of it."""
    parts = r"(-\d+-of-\d+(-\w+)?|[-_]?\d+)?"
    named = re.fullmatch(re.escape(split) + parts, path.stem) is not None
    return named or (path.parent.name == split and path.stem.isdigit())


def _of_subset(files: Mapping[str, list[Path]], root: Path, config: ImagesData) -> dict[str, list[Path]]:
    """The files of `data.subset`, which is the name of a folder."""
    folders = {path: _folder(path, root, config) for paths in files.values() for path in paths}
    subset = config.subset
    kept = {
        split: [path for path in paths if subset is None or subset in folders[path].split("/")]
        for split, paths in files.items()
    }
    left = {folders[path] for paths in kept.values() for path in paths}
    if not left and subset is not None:
        raise user_error(f"data.subset={subset}: no such folder of tables", nearest(subset, folders.values()))
    if len(left) > 1:
        raise user_error(
            f"{_name(root, config)} has several subsets: {', '.join(sorted(left))}",
            "choose one: data.subset=NAME",
        )
    problems = [_no_split(split, files, root, config) for split, paths in kept.items() if not paths]
    if problems:
        raise UserError(problems)
    return kept


def _folder(path: Path, root: Path, config: ImagesData) -> str:
    folder = path.parent
    if folder.name in (config.train, config.test) and path.stem.isdigit():
        folder = folder.parent
    return folder.relative_to(root).as_posix()


def _name(root: Path, config: ImagesData) -> str:
    return config.repo if config.root is None and config.repo else str(root)


def _no_split(split: str, files: Mapping[str, list[Path]], root: Path, config: ImagesData) -> Problem:
    wanted = getattr(config, split)
    there = [str(path.relative_to(root)) for paths in files.values() for path in paths]
    what = f"data.{split}={wanted}: {_name(root, config)} has no table of that name"
    return Problem(what, f"name the split by data.{split}=NAME; found: {', '.join(there[:5])}")


def _loaded(tables: Tables) -> Mapping[str, Any]:
    """Both tables as `datasets` reads them, images not decoded."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    reader, options = _READERS[tables.suffix]
    files = {split: [literal(path) for path in paths] for split, paths in tables.files.items()}
    try:
        with _no_bars():
            loaded: Mapping[str, Any] = load_dataset(reader, _content(tables), data_files=files, **options)
    except (DatasetsError, OSError, ValueError, TypeError) as error:
        raise UserError(
            _unread(error, [str(path) for paths in tables.files.values() for path in paths])
        ) from None
    return loaded


def _content(tables: Tables) -> str:
    """A name for the content: by itself `datasets` knows its copies by path and time of change alone."""
    return content_key(
        {split: [input_digest(path) for path in paths] for split, paths in tables.files.items()}
    )


def _unread(error: BaseException, names: list[str]) -> Problem:
    """`datasets` keeps why it gave up in the cause of its own error."""
    from datasets import config as settings

    cause = error.__cause__ or error
    reason = str(cause).strip().split("\n")[0] or type(cause).__name__
    if isinstance(cause, OSError) and cause.errno is not None:  # of the system, not of a table's content
        what = f"{', '.join(names)} cannot be put into {settings.HF_DATASETS_CACHE}: {reason}"
        return Problem(what, "make room there, or choose another folder: HF_DATASETS_CACHE=DIR")
    if empty := re.search(r'"(\w+)" corresponds to no data', reason):
        return Problem(f"the {empty[1]} split is empty: {', '.join(names)}", "give it samples")
    return Problem(f"{', '.join(names)}: {reason}", "write them again, both splits with the same columns")


@contextmanager
def _no_bars() -> Iterator[None]:
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


def _column_problems(rows: Any, path: Path, config: ImagesData) -> list[Problem]:
    problems = []
    for key in ("image", "label"):
        column = getattr(config, key)
        if column not in rows.column_names:
            what = f"data.{key}={column}: {path.name} has no such column"
            problems.append(Problem(what, f"data.{key}=NAME; {nearest(column, rows.column_names)}"))
    if not problems and not _holds_images(rows.features[config.image]):
        what = f"data.image={config.image}: the column holds {rows.features[config.image]}"
        remedy = f"name the column of images, or of paths to them: {', '.join(rows.column_names)}"
        problems.append(Problem(what, remedy))
    return problems


def _holds_images(feature: Any) -> bool:
    from datasets import Image

    if isinstance(feature, dict):
        return bool({"bytes", "path"} & feature.keys())
    return isinstance(feature, Image) or getattr(feature, "dtype", "") in (
        "string",
        "large_string",
        "binary",
        "large_binary",
    )


def _split(rows: Any, root: Path, config: ImagesData) -> Split:
    from datasets import Image

    labels = rows.select_columns(config.label)[:][config.label] if len(rows) else []
    images = rows.select_columns(config.image)
    if isinstance(rows.features[config.image], Image):
        images = images.cast_column(config.image, Image(decode=False))
    return Split(TableImages(images, config.image, root), labels)


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
