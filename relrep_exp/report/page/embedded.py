"""Where every number of the page comes from, as one JSON text; what records share is in it once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

_SHARED = ("git", "versions", "revisions", "platform")
_OWN = ("device", "threads", "started", "finished", "command")


@dataclass
class Pool:
    """Values, each of them once.

    Attributes:
        values: in order of appearance.
    """

    values: list[Any] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, value: Any) -> int:
        """The place of a value that is JSON."""
        text = json.dumps(value, sort_keys=True)
        place = self._places.setdefault(text, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def embedded(records: Sequence[Record], files: Mapping[str, Path]) -> str:
    """What the script of the page reads: `{pool, runs}`, safe inside a script element.

    A run holds what it shares with others, each part of its configuration among it, as places in the pool.

    Args:
        records: in the order in which cells name them by number.
        files: the file of each record by its key.
    """
    pool = Pool()
    runs = [_run(record, files[record.key], pool) for record in records]
    text = json.dumps({"pool": pool.values, "runs": runs}, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # no name can close the element


def _run(record: Record, file: Path, pool: Pool) -> dict[str, Any]:
    origin = record.provenance
    return {
        "key": record.key,
        "task": record.task,
        "method": record.method,
        "file": str(file),
        "config": {name: pool.add(value) for name, value in record.config.items()},
        "timings": {phase: taken and round(taken, 3) for phase, taken in record.timings.items()},
        **{name: origin[name] for name in _OWN if origin.get(name) is not None},
        "shared": {name: pool.add(origin[name]) for name in _SHARED if origin.get(name)},
    }
