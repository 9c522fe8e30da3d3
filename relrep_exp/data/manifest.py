"""What tells a data set from others: its settings, and its files in one digest, by name and content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from relrep_exp.errors import user_error
from relrep_exp.store.inputs import input_digest
from relrep_exp.store.keys import canonical_json, text_digest

MANY = 10_000  # reading every byte of more files than this would take longer than a run that finds its record


def settings(config: Any, *leave_out: str) -> Mapping[str, Any]:
    """Pick the keys of a configuration that determine samples: not where a copy of them lies."""
    never = {"root", "path", "on_error", "param_batch", "use", *leave_out}
    return {key: value for key, value in asdict(config).items() if key not in never}


def names_below(root: Path) -> list[str]:
    """List all files below a folder, sorted: names relative to it, with slashes; hidden ones are left out.

    Raises:
        UserError: a folder cannot be read.
    """
    found = []
    for here, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        base = Path(here).relative_to(root).as_posix()
        before = "" if base == "." else f"{base}/"  # strings, as there may be a million files
        found += [before + name for name in names if not name.startswith(".")]
    return sorted(found)


def manifest(root: Path, names: Iterable[str]) -> dict[str, Any]:
    """Count files, and digest their names, relative to `root`, and their content.

    Of more than `MANY` files it is their names, sizes and times of change instead, so a copy of so large a
    folder counts as the same data only if it keeps the times (cp -a, rsync -a, tar).

    Raises:
        UserError: a file cannot be read.
    """
    listed: list[list[Any]] = []
    by_time = len(names := sorted(names)) > MANY
    try:
        for name in names:
            if by_time:
                status = (root / name).stat()
                listed.append([name, status.st_size, status.st_mtime_ns])
            else:
                listed.append([name, input_digest(root / name)])
    except OSError as error:
        _refuse(error)
    digest = text_digest(canonical_json(listed))
    return {"files": len(names), "by": "time" if by_time else "content", "sha256": digest}


def _refuse(error: OSError) -> NoReturn:
    what = f"{error.filename} cannot be read: {error.strerror}"
    raise user_error(what, "make it readable, or remove it from the data set") from None
