"""Images in tables: parquet, as the hub keeps them, CSV, TSV or JSON lines; each split in one or more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data.image_samples import Split, TableImages
from relrep_exp.data.tables import literal
from relrep_exp.errors import Problem, UserError, nearest, user_error
from relrep_exp.store.inputs import input_digest
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from relrep_exp.config.schema import ImagesData

# suffix -> the reader in `datasets`, and what it needs to be told; the first suffix found is taken
_READERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    ".parquet": ("parquet", {}),
    ".csv": ("csv", {"keep_default_na": False}),  # a class may well be called NA
    ".tsv": ("csv", {"keep_default_na": False, "sep": "\t"}),
    ".jsonl": ("json", {}),
}


Files = Mapping[str, list[Path]]  # "train" and "test" -> tables of one format, sorted


def find(root: Path, names: Iterable[str], config: ImagesData) -> Files | None:
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
            return _of_subset(files, root, config)
    return None


def read(files: Files, root: Path, config: ImagesData) -> dict[str, Split]:
    """Read both splits; images stay on the disk, in Arrow's form and the cache of `datasets`.

    Raises:
        UserError: a table cannot be read or lacks a column; every problem.
    """
    from datasets import Image

    loaded = _loaded(files)
    problems = [p for split in loaded for p in _column_problems(loaded[split], files[split][0], config)]
    if problems:
        raise UserError(dict.fromkeys(problems))
    splits = {}
    for split in ("train", "test"):
        rows = loaded[split]
        labels = rows.select_columns(config.label)[:][config.label] if len(rows) else []
        images = rows.select_columns(config.image)
        if isinstance(rows.features[config.image], Image):
            images = images.cast_column(config.image, Image(decode=False))
        splits[split] = Split(TableImages(images, config.image, root), labels)
    return splits


def _is_of(path: Path, split: str) -> bool:
    """Whether a file's name says that it holds this split, or a part of it."""
    parts = r"(-\d+-of-\d+(-\w+)?|[-_]?\d+)?"
    named = re.fullmatch(re.escape(split) + parts, path.stem) is not None
    return named or (path.parent.name == split and path.stem.isdigit())


def _of_subset(files: Files, root: Path, config: ImagesData) -> Files:
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
    name = config.repo if config.root is None and config.repo else str(root)
    if len(left) > 1:
        what = f"{name} has several subsets: {', '.join(sorted(left))}"
        raise user_error(what, "choose one: data.subset=NAME")
    there = ", ".join([str(path.relative_to(root)) for paths in files.values() for path in paths][:5])
    problems = [
        Problem(
            f"data.{split}={getattr(config, split)}: {name} has no table of that name",
            f"name the split by data.{split}=NAME; found: {there}",
        )
        for split, paths in kept.items()
        if not paths
    ]
    if problems:
        raise UserError(problems)
    return kept


def _folder(path: Path, root: Path, config: ImagesData) -> str:
    in_split = path.parent.name in (config.train, config.test) and path.stem.isdigit()
    return (path.parents[1] if in_split else path.parent).relative_to(root).as_posix()


def _loaded(files: Files) -> Mapping[str, Any]:
    """Both tables as `datasets` reads them, images not decoded."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError

    reader, options = _READERS[files["train"][0].suffix]
    paths = {split: [literal(path) for path in found] for split, found in files.items()}
    # By itself `datasets` knows its copies by path and time of change alone; this name tells the content.
    content = content_key({split: [input_digest(path) for path in found] for split, found in files.items()})
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        loaded: Mapping[str, Any] = load_dataset(reader, content, data_files=paths, **options)
    except (DatasetsError, OSError, ValueError, TypeError) as error:
        raise UserError(_unread(error, [str(path) for found in files.values() for path in found])) from None
    finally:
        if shown:
            enable_progress_bars()
    return loaded


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
