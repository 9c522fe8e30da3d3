"""The store of embeddings: rows in shards that are written as they come and verified on every read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.files import (
    CorruptError,
    OtherSchemaError,
    install_folder,
    read_regular,
    remove_temp,
    seal,
    translated_oserrors,
    unseal,
    write_atomic,
)
from relrep_exp.store.keys import canonical_json, require_key
from relrep_exp.store.mapped import FileRows, locate
from relrep_exp.store.once import MANIFEST, Store
from relrep_exp.store.tensors import intact

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
        """Count the row numbers of a shard."""
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


@dataclass
class Parts:
    """The shards of an entry that is being made; several processes may write, each its own shards.

    A shard is a file of tensors and, written after it, a sealed note with its digest, by which a later
    process knows that it is whole and of the same plan.
    """

    folder: Path
    plan: Plan
    left: int = 0  # rows of the shards that are still to be made

    def resume(self) -> list[int]:
        """Find the shards still to be made; what is no finished shard of this plan is removed."""
        with translated_oserrors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            found = list(self.folder.iterdir())
        pending, keep = [], set()
        for shard in range(len(self.plan)):
            note, data = self.note(shard), self.folder / _data(shard)
            if note is not None and _is_whole(data, note["sha256"]):
                keep |= {data.name, _note(shard)}
            else:
                pending.append(shard)
        for path in found:
            if path.name not in keep:
                remove_temp(path)
        self.left = sum(len(self.plan.rows_of(shard)) for shard in pending)
        return pending

    def note(self, shard: int) -> dict[str, Any] | None:
        """Read the note of a shard if it is intact and of this plan."""
        expected = self._expected(shard)
        try:
            note = unseal(read_regular(self.folder / _note(shard)), _SCHEMA)
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


class ShardStore(Store[Stored]):
    """Folders `<root>/<key>/` with shards `00000.safetensors`, ... and a manifest that holds their digests.

    Until an entry is whole its finished shards lie in `<root>/<key>.parts/`, where a later process finds them
    if this one ends early.
    """

    schema = _SCHEMA

    def get_or_make(
        self, plan: Plan, describe: Mapping[str, Any], make: Callable[[Parts, list[int]], None]
    ) -> Stored:
        """Read the entry of a plan's key, however it is cut, or have it made if there is no intact one.

        Of several threads and processes one makes it, and the others wait and read.

        Args:
            plan: its key, and how it is cut if it has to be made.
            describe: a JSON description.
            make: writes the shards with these numbers.

        Raises:
            UserError: the entry has to be made and the folder cannot be written.
        """
        described = json.loads(canonical_json(describe))  # what is no JSON is told before the work

        def resume() -> Stored:
            parts = Parts(self.root / f"{plan.key}.parts", plan)
            if pending := parts.resume():
                make(parts, pending)
            return self._install(parts, described)

        return self._make_once(plan.key, resume)[0]

    def rows(self, key: str) -> FileRows | None:
        """Leave the embeddings of `key` in their files, each verified once, now; rows not read are left out.

        A corrupt entry is moved aside with a warning and not returned.
        """
        return _MappedStore(self.root).find(key)

    def _install(self, parts: Parts, describe: dict[str, Any]) -> Stored:
        """Make the entry of its parts and read it; who is killed on the way leaves either parts or an entry.

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
        folder = self.path(plan.key)
        with translated_oserrors(folder):
            install_folder(parts.folder, folder)
        for shard in range(len(plan)):
            remove_temp(folder / _note(shard))
        stored = self.read(plan.key)
        if stored is None:
            raise RuntimeError(f"{folder} vanished as soon as it was written")
        return stored

    def _load(self, path: Path, fields: dict[str, Any]) -> Stored:
        """Fill x shard by shard, so that beside x no more than a shard is ever in memory."""
        import torch
        from safetensors import safe_open

        x, ok = torch.empty(fields["rows"], fields["dim"]), torch.empty(fields["rows"], dtype=torch.bool)
        for shard in fields["shards"]:
            rows = slice(*shard["rows"])
            with (
                intact(path / shard["file"], shard["sha256"]) as data,
                safe_open(data, framework="pt") as file,
            ):
                x[rows] = file.get_tensor("x")
                ok[rows] = file.get_tensor("ok")
        return Stored(x, ok, dict(fields["unread"]), fields["describe"])


class _MappedStore(Store[FileRows]):
    """The same entries, left in their files and cut at every row that was not read."""

    schema = _SCHEMA

    def _load(self, path: Path, fields: dict[str, Any]) -> FileRows:
        unread = sorted(row for row, _ in fields["unread"])
        parts = []
        for shard in fields["shards"]:
            start, stop = shard["rows"]
            with intact(path / shard["file"], shard["sha256"]) as data:
                segment = locate(data, "x")
            edges = [start - 1, *(row for row in unread if start <= row < stop), stop]
            for one, other in pairwise(edges):
                if other > one + 1:
                    parts.append(segment.part(one + 1 - start, other - start))
        return FileRows(parts)


def _is_whole(data: Path, digest: str) -> bool:
    try:
        with intact(data, digest):
            return True
    except CorruptError:
        return False


def _data(shard: int) -> str:
    return f"{shard:05d}.safetensors"


def _note(shard: int) -> str:
    return f"{shard:05d}.json"
