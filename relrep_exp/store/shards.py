"""The store of embeddings: rows in shards that are written as they come and verified on every read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.files import (
    CorruptError,
    OtherSchemaError,
    install_folder,
    remove_temp,
    seal,
    translated_oserrors,
    unseal,
    write_atomic,
)
from relrep_exp.store.keys import canonical_json, file_digest, require_key
from relrep_exp.store.mapped import FileRows, locate
from relrep_exp.store.once import MANIFEST, find_intact, get_or_make, read_entry

if TYPE_CHECKING:  # torch takes seconds to import, and a look at what is there does without
    from torch import Tensor

_SCHEMA = 2  # 1 is a folder with one file of tensors, see `tensors.py`


@dataclass(frozen=True)
class Plan:
    """How the rows of an entry are cut.

    Attributes:
        key: a `content_key` of all that determines the embeddings.
        rows: N, at least 1.
        size: rows of a shard; the last one may have fewer.
    """

    key: str
    rows: int
    size: int

    def __post_init__(self) -> None:
        require_key(self.key)
        if self.rows < 1 or self.size < 1:
            raise ValueError(f"{self.rows} rows in shards of {self.size}: both are at least 1")

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def rows_of(self, shard: int) -> range:
        """The row numbers of a shard."""
        return range(shard * self.size, min((shard + 1) * self.size, self.rows))


@dataclass(frozen=True)
class Stored:
    """What is stored under a key.

    Attributes:
        x: float32, [N, d].
        ok: bool, [N]; False where a sample could not be read.
        unread: row -> why its sample could not be read.
        describe: JSON: model, revision, preprocessing, ...
    """

    x: Tensor
    ok: Tensor
    unread: dict[int, str]
    describe: dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """The shards of an entry that is being made; several processes may write, each its own shards.

    A shard is a file of tensors and, written after it, a sealed note with its digest, by which a later
    process knows that it is whole and of the same plan.
    """

    folder: Path
    plan: Plan

    def resume(self) -> list[int]:
        """Find the shards still to be made; what is no finished shard of this plan is removed."""
        with translated_oserrors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            found = list(self.folder.iterdir())
        pending, keep = [], set()
        for shard in range(len(self.plan)):
            note, data = self.note(shard), self.folder / _data(shard)
            if note is not None and data.exists() and file_digest(data) == note["sha256"]:
                keep |= {data.name, _note(shard)}
            else:
                pending.append(shard)
        for path in found:
            if path.name not in keep:
                remove_temp(path)
        return pending

    def note(self, shard: int) -> dict[str, Any] | None:
        """Read the note of a shard if it is intact and of this plan."""
        expected = self._expected(shard)
        try:
            note = unseal((self.folder / _note(shard)).read_bytes(), _SCHEMA)
        except (FileNotFoundError, CorruptError, OtherSchemaError):
            return None
        return note if {name: note.get(name) for name in expected} == expected else None

    def _expected(self, shard: int) -> dict[str, Any]:
        return {"schema": _SCHEMA, "shard": shard, "plan": asdict(self.plan)}

    def write(self, shard: int, x: Tensor, unread: Mapping[int, str]) -> None:
        """Put a finished shard on the disk.

        Args:
            shard: its number.
            x: float32 [n, d] on the CPU, in the order of the rows.
            unread: row -> why its sample could not be read.

        Raises:
            UserError: the disk is full, or the like.
        """
        import torch
        from safetensors.torch import save

        rows = torch.tensor(self.plan.rows_of(shard))
        ok = torch.tensor([row not in unread for row in self.plan.rows_of(shard)])
        data = save({"x": x.contiguous(), "ok": ok, "rows": rows})
        write_atomic(self.folder / _data(shard), data)
        digest = hashlib.sha256(data).hexdigest()
        note = {"sha256": digest, "dim": x.shape[1], "unread": [[row, unread[row]] for row in sorted(unread)]}
        write_atomic(self.folder / _note(shard), seal({**self._expected(shard), **note}).encode())


@dataclass
class ShardStore:
    """Folders `<root>/<key>/` with shards `00000.safetensors`, ... and a manifest that holds their digests.

    An entry appears whole or not at all. Until then its finished shards lie in `<root>/<key>.parts/`,
    where a later process finds them if this one ends early.

    Attributes:
        root: the folder.
    """

    root: Path

    def get_or_make(
        self, plan: Plan, describe: Mapping[str, Any], make: Callable[[Parts, list[int]], None]
    ) -> Stored:
        """Read the entry of a plan's key, however it is cut; `make` makes it if there is no intact one.

        Of several threads and processes one makes it, and the others wait and read.

        Args:
            plan: its key, and how it is cut if it has to be made.
            describe: a JSON description.
            make: writes the shards with these numbers.

        Raises:
            UserError: the entry has to be made and the folder cannot be written.
        """
        folder = self.root / plan.key
        read = partial(read_entry, folder, _SCHEMA, partial(_load, folder), folder=True)
        described = json.loads(canonical_json(describe))  # what is no JSON is told before the work

        def parts() -> Parts:
            made = Parts(self.root / f"{plan.key}.parts", plan)
            if pending := made.resume():
                make(made, pending)
            return made

        stored, _ = get_or_make(folder, read, parts, partial(_install, folder, described))
        return stored

    def find(self, key: str) -> Stored | None:
        """Read and verify the entry of `key`; a corrupt one is moved aside with a warning instead."""
        folder = self.root / require_key(key)
        return find_intact(folder, partial(read_entry, folder, _SCHEMA, partial(_load, folder), folder=True))

    def rows(self, key: str) -> FileRows | None:
        """Leave the embeddings of `key` in their files, each verified once, now; rows not read are left out.

        A corrupt entry is moved aside with a warning and not returned.
        """
        folder = self.root / require_key(key)
        return find_intact(folder, partial(read_entry, folder, _SCHEMA, partial(_map, folder), folder=True))


def _install(folder: Path, describe: dict[str, Any], parts: Parts) -> Stored:
    """Make the entry of its parts and read it; a process killed on the way leaves either parts or an entry.

    Raises:
        RuntimeError: a shard is missing.
    """
    plan = parts.plan
    shards, unread, dim = [], [], 0
    for shard in range(len(plan)):
        if (note := parts.note(shard)) is None:
            raise RuntimeError(f"{parts.folder}: shard {shard} has not been made")
        rows, dim = plan.rows_of(shard), note["dim"]
        shards.append({"file": _data(shard), "rows": [rows.start, rows.stop], "sha256": note["sha256"]})
        unread += note["unread"]
    fields = {"schema": _SCHEMA, "key": plan.key, "created": datetime.now(UTC).isoformat()}
    fields |= {"rows": plan.rows, "dim": dim, "shards": shards, "unread": unread, "describe": describe}
    write_atomic(parts.folder / MANIFEST, seal(fields).encode())
    with translated_oserrors(folder):
        install_folder(parts.folder, folder)
    for shard in range(len(plan)):
        remove_temp(folder / _note(shard))
    stored = read_entry(folder, _SCHEMA, partial(_load, folder), folder=True)
    if stored is None:
        raise RuntimeError(f"{folder} vanished as soon as it was written")
    return stored


def _load(folder: Path, fields: dict[str, Any]) -> Stored:
    """Fill x shard by shard, so that beside x no more than a shard is ever in memory."""
    import torch
    from safetensors import safe_open

    _require_key(folder, fields)
    x, ok = torch.empty(fields["rows"], fields["dim"]), torch.empty(fields["rows"], dtype=torch.bool)
    for shard in fields["shards"]:
        path, rows = folder / shard["file"], slice(*shard["rows"])
        with _intact(path, shard["sha256"]), safe_open(path, framework="pt") as file:
            x[rows] = file.get_tensor("x")
            ok[rows] = file.get_tensor("ok")
    return Stored(x, ok, dict(fields["unread"]), fields["describe"])


def _map(folder: Path, fields: dict[str, Any]) -> FileRows:
    """Leave the shards in their files, cut at every row that was not read."""
    _require_key(folder, fields)
    unread = sorted(row for row, _ in fields["unread"])
    parts = []
    for shard in fields["shards"]:
        path, (start, stop) = folder / shard["file"], shard["rows"]
        with _intact(path, shard["sha256"]):
            segment = locate(path, "x")
        edges = [start - 1, *(row for row in unread if start <= row < stop), stop]
        parts += [
            segment.part(one + 1 - start, other - start) for one, other in pairwise(edges) if other > one + 1
        ]
    return FileRows(parts)


def _require_key(folder: Path, fields: dict[str, Any]) -> None:
    if fields["key"] != folder.name:
        raise CorruptError(f"{MANIFEST} is of the key {fields['key']}")


@contextmanager
def _intact(path: Path, digest: str) -> Iterator[None]:
    """Verify a file for whoever maps it next: for its digest it was read, so its pages are cached."""
    try:
        with translated_oserrors(path):
            if file_digest(path) != digest:
                raise CorruptError(f"{path.name} does not have the SHA-256 that {MANIFEST} says")
            yield
    except FileNotFoundError as error:
        raise CorruptError(f"{path.name} is missing") from error


def _data(shard: int) -> str:
    return f"{shard:05d}.safetensors"


def _note(shard: int) -> str:
    return f"{shard:05d}.json"
