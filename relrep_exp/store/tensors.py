"""The embedding store: named tensors and their description, computed once and verified on every read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.files import (
    CorruptError,
    install_folder,
    remove_temp,
    seal,
    sync,
    temp_beside,
    translated_oserrors,
    write_synced,
)
from relrep_exp.store.keys import canonical_json, file_digest, is_key, require_key
from relrep_exp.store.once import MANIFEST, find_intact, get_or_make, read_entry

if TYPE_CHECKING:  # torch takes seconds to import, and the keys and the listing do without
    from torch import Tensor

_SCHEMA = 1
_DATA = "data.safetensors"


@dataclass(frozen=True)
class Entry:
    """What is stored under a key.

    Attributes:
        tensors: on the CPU, contiguous, without gradient, in the order of their names.
        describe: JSON: model, revision, preprocessing, ...
        computed: whether it was computed by this call, not read.
    """

    tensors: dict[str, Tensor]
    describe: dict[str, Any]
    computed: bool


@dataclass
class TensorStore:
    """Folders `<root>/<key>/` with `data.safetensors` and a `manifest.json` that holds its SHA-256.

    An entry appears whole or not at all.

    Attributes:
        root: the folder.
    """

    root: Path

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], tuple[dict[str, Tensor], dict[str, Any]]],
        *,
        recompute: bool = False,
    ) -> Entry:
        """Read the entry of `key`; `compute` makes it if there is none, or a corrupt one, or for `recompute`.

        Of several threads and processes one computes, and the others wait and read.

        Args:
            key: a `content_key` of all that determines the tensors.
            compute: returns the tensors and a JSON description.
            recompute: compute and replace in any case.

        Raises:
            UserError: the entry has to be computed and the folder cannot be written.
        """
        folder = self.root / require_key(key)
        read = partial(read_entry, folder, _SCHEMA, partial(_load, folder), folder=True)
        entry, _ = get_or_make(folder, read, compute, partial(_write, folder), redo=recompute)
        return entry

    def find(self, key: str) -> Entry | None:
        """Read and verify the entry of `key`; a corrupt one is moved aside with a warning instead."""
        folder = self.root / require_key(key)
        return find_intact(folder, partial(read_entry, folder, _SCHEMA, partial(_load, folder), folder=True))

    def keys(self) -> list[str]:
        """The keys of all entries, sorted; their content is not verified."""
        return sorted(
            path.parent.name for path in self.root.glob(f"*/{MANIFEST}") if is_key(path.parent.name)
        )


def _load(folder: Path, fields: dict[str, Any]) -> Entry:
    from safetensors.torch import load_file

    if fields["key"] != folder.name:
        raise CorruptError(f"{MANIFEST} is of the key {fields['key']}")
    data = folder / _DATA
    try:
        with translated_oserrors(data):
            # Read once from the disk for the digest; load_file then maps the same cached pages.
            if file_digest(data) != fields["sha256"]:
                raise CorruptError(f"{_DATA} does not have the SHA-256 that {MANIFEST} says")
            tensors = load_file(data)
    except FileNotFoundError as error:
        raise CorruptError(f"{_DATA} is missing") from error
    return Entry(dict(sorted(tensors.items())), fields["describe"], computed=False)


def _write(folder: Path, computed: tuple[Mapping[str, Tensor], Mapping[str, Any]]) -> Entry:
    """Write both files of an entry into a folder beside it, down to the disk, and put it in its place."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, describe = computed
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if memory in seen else tensor  # files cannot share memory
        seen.add(memory)
    entry = Entry(plain, json.loads(canonical_json(describe)), computed=True)
    prepared = temp_beside(folder)
    data, manifest = prepared / _DATA, prepared / MANIFEST
    with translated_oserrors(folder):
        try:
            prepared.mkdir()
            save_file(entry.tensors, data)
            created = datetime.now(UTC).isoformat()
            fields = {"schema": _SCHEMA, "key": folder.name, "sha256": file_digest(data), "created": created}
            write_synced(manifest, [seal({**fields, "describe": entry.describe}).encode()])
            data.chmod(manifest.stat().st_mode)  # safetensors writes 0600 whatever the umask says
            sync(data)
            sync(prepared)
            install_folder(prepared, folder)
        except SafetensorError as error:  # it wraps the system's errors, their number in the text alone
            remove_temp(prepared)
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), str(error), str(data)) from error
            raise
        except BaseException:
            remove_temp(prepared)
            raise
    return entry
