"""What a record says of itself, read fast and not verified: enough to plan by, not to make a table of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relrep_exp.store.keys import is_key
from relrep_exp.store.records import SCHEMA

_FIELDS = ("schema", "key", "task", "method", "config", "timings")


@dataclass(frozen=True)
class Glance:
    """Some fields of a record.

    Attributes:
        key: of the record.
        task: e.g. `digits_stitch`.
        method: e.g. `param-wip`.
        config: what determines its numbers.
        embed: seconds that getting the embeddings took; next to none where they were there.
        rest: seconds of all other phases.
    """

    key: str
    task: str
    method: str
    config: dict[str, Any]
    embed: float
    rest: float


def glances(root: Path) -> dict[str, Glance]:
    """The records of a folder by their keys; what is not whole, or another version's, is passed over.

    Nothing is moved or written, and what cannot be read is not there.
    """
    found = (glance(path) for path in sorted(root.glob("*.json")) if is_key(path.stem))
    return {one.key: one for one in found if one is not None}


def glance(path: Path) -> Glance | None:
    """One record. Its file has a field a line, and the long ones are skipped."""
    try:
        text = path.read_text(encoding="utf-8")
        starts = {name: text.index(f'\n"{name}": ') for name in _FIELDS}
        lines = (text[start + 1 : text.index("\n", start + 1)].rstrip(",") for start in starts.values())
        fields = json.loads("{" + ",".join(lines) + "}")
        if not text.endswith("}\n") or (fields["schema"], fields["key"]) != (SCHEMA, path.stem):
            return None
        taken = {phase: seconds or 0.0 for phase, seconds in fields["timings"].items()}
        embed = taken.pop("embed", 0.0)
        rest = sum(taken.values())
        return Glance(fields["key"], fields["task"], fields["method"], fields["config"], embed, rest)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
