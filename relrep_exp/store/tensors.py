"""The embedding store: named tensors and their description, computed once and verified on every read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.entries import MANIFEST, read_entry
from relrep_exp.store.files import (
    remove_temp,
    sweep_temps,
    sync,
    temp_beside,
    translated_oserrors,
    write_synced,
)
from relrep_exp.store.folders import install_folder
from relrep_exp.store.keys import canonical_json, file_digest, is_key, require_key
from relrep_exp.store.once import find_intact, get_or_make
from relrep_exp.store.sealed import CorruptError, seal, unseal

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


class TensorStore:
    """Folders `<root>/<key>/` with `data.safetensors` and a `manifest.json` that holds its SHA-256.

    An entry appears whole or not at all, and is replaced in one step.
    """

    def __init__(self, root: Path):
        self.root = Path(root)

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], tuple[dict[str, Tensor], dict[str, Any]]],
        *,
        recompute: bool = False,
    ) -> Entry:
        """The entry of `key`; `compute` is called if there is none, or a corrupt one, or for `recompute`.

        Of several threads and processes one computes, and the others wait and read.

        Args:
            key: a `content_key` of all that determines the tensors.
            compute: returns the tensors and a JSON description.
            recompute: compute and replace in any case.

        Raises:
            UserError: the entry has to be computed and the folder cannot be written.
        """
        folder = self.root / require_key(key)
        entry, _ = get_or_make(
            folder, lambda: self._read(key), lambda: self._write(key, *compute()), redo=recompute
        )
        return entry

    def find(self, key: str) -> Entry | None:
        """The entry of `key`, verified; a corrupt one is moved aside with a warning and not returned."""
        return find_intact(self.root / require_key(key), lambda: self._read(key))

    def keys(self) -> list[str]:
        """The keys of all entries, sorted; their content is not verified."""
        return sorted(
            path.parent.name for path in self.root.glob(f"*/{MANIFEST}") if is_key(path.parent.name)
        )

    def _read(self, key: str) -> Entry | None:
        folder = self.root / key
        return read_entry(folder, lambda manifest: _load(folder, key, manifest))

    def _write(self, key: str, tensors: Mapping[str, Tensor], describe: Mapping[str, Any]) -> Entry:
        folder = self.root / key
        entry = Entry(_plain(tensors), json.loads(canonical_json(describe)), computed=True)
        with translated_oserrors(folder):
            sweep_temps(self.root, key)
            prepared = temp_beside(folder)
            try:
                prepared.mkdir()
                _fill(prepared, key, entry)
                install_folder(prepared, folder)
            except BaseException:
                remove_temp(prepared)
                raise
        return entry


def _load(folder: Path, key: str, manifest: bytes) -> Entry:
    from safetensors.torch import load_file

    fields = unseal(manifest, _SCHEMA)
    if fields["key"] != key:
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


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a later read returns; what shares memory with another tensor is copied, as files cannot share."""
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        plain[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return plain


def _fill(prepared: Path, key: str, entry: Entry) -> None:
    """Writes both files of an entry into the folder `prepared`, down to the disk."""
    data, manifest = prepared / _DATA, prepared / MANIFEST
    _save(data, entry.tensors)
    created = datetime.now(UTC).isoformat()
    fields = {"schema": _SCHEMA, "key": key, "sha256": file_digest(data), "created": created}
    write_synced(manifest, [seal({**fields, "describe": entry.describe}).encode()])
    data.chmod(
        manifest.stat().st_mode
    )  # safetensors writes 0600 whatever the umask; the manifest has the umask's
    sync(data)
    sync(prepared)


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path)
    except SafetensorError as error:  # it wraps the system's errors and keeps their number only in the text
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), str(error), str(path)) from error
        raise
