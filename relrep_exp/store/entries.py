"""Entries that are folders with a manifest: read so that a replacement meanwhile does no harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from relrep_exp.store.files import translated_oserrors
from relrep_exp.store.sealed import CorruptError

MANIFEST = "manifest.json"

T = TypeVar("T")


def read_entry(folder: Path, load: Callable[[bytes], T]) -> T | None:
    """What `load` makes of the manifest's text and the files beside it; None if there is no such folder.

    The entry may be replaced between reading the manifest and reading the data: what was found, an entry
    or a fault, counts only if the manifest is still the same afterwards.

    Raises:
        CorruptError: as `load` raised it.
    """
    manifest = _text(folder)
    while manifest is not None:
        found = _load_or_fault(load, manifest)
        before, manifest = manifest, _text(folder)
        if manifest == before:
            if isinstance(found, CorruptError):
                raise found
            return found
    return None


def _text(folder: Path) -> bytes | None:
    """None if there is no entry; an entry without a manifest has an empty, hence a corrupt one."""
    try:
        with translated_oserrors(folder):
            return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return b"" if folder.is_dir() else None


def _load_or_fault(load: Callable[[bytes], T], manifest: bytes) -> T | CorruptError:
    try:
        return load(manifest)
    except CorruptError as fault:
        return fault
