"""The store of tensors: named ones and their description, computed once and verified on every read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.files import (
    CorruptError,
    install_folder,
    remove_temp,
    require_regular,
    seal,
    sync,
    synced_file,
    temp_beside,
    translated_oserrors,
)
from relrep_exp.store.keys import canonical_json, file_digest
from relrep_exp.store.once import MANIFEST, Store

if TYPE_CHECKING:  # torch takes seconds to import, and the keys and the listing do without
    from torch import Tensor

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


class TensorStore(Store[Entry]):
    """Folders `<root>/<key>/` with `data.safetensors` and a `manifest.json` that holds its SHA-256."""

    schema = 1

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
        entry, _ = self._make_once(key, lambda: _write(self.path(key), *compute()), redo=recompute)
        return entry

    def _load(self, path: Path, fields: dict[str, Any]) -> Entry:
        from safetensors.torch import load_file

        with intact(path / _DATA, fields["sha256"]) as data:
            tensors = load_file(data)
        return Entry(dict(sorted(tensors.items())), fields["describe"], computed=False)


@contextmanager
def intact(path: Path, digest: str) -> Iterator[Path]:
    """Verify a file for whoever maps it next: for its digest it was read, so its pages are cached.

    Raises:
        CorruptError: it is missing or has another SHA-256.
    """
    try:
        with translated_oserrors(path):
            require_regular(path)
            if file_digest(path) != digest:
                raise CorruptError(f"{path.name} does not have the SHA-256 that {MANIFEST} says")
            yield path
    except FileNotFoundError as error:
        raise CorruptError(f"{path.name} is missing") from error


def _write(folder: Path, tensors: Mapping[str, Tensor], describe: Mapping[str, Any]) -> Entry:
    """Write both files of an entry into a folder beside it, down to the disk, and put it in its place."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

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
            fields = {"schema": TensorStore.schema, "key": folder.name, "sha256": file_digest(data)}
            sealed = seal({**fields, "created": created, "describe": entry.describe})
            with synced_file(manifest) as stream:
                stream.write(sealed.encode())
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
