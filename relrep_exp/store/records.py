"""The record store: one run, one JSON file under the key of what determines its numbers."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from relrep_exp.errors import user_error
from relrep_exp.store.files import (
    CorruptError,
    OtherSchemaError,
    move_aside,
    read_regular,
    remove_temp,
    seal,
    unseal,
    write_atomic,
)
from relrep_exp.store.keys import canonical_json, is_key, require_key
from relrep_exp.store.once import Store

_LOG = logging.getLogger("relrep_exp")
SCHEMA = 1
_OVERWRITE = ("never", "missing", "always")


class Row(NamedTuple):
    """One number.

    Attributes:
        source: the encoder whose representation the decoder was trained on.
        target: the encoder that is read at test time.
        method: the aligner with its parts, e.g. `absolute`, `random-cosine`, `param-wip`.
        metric: e.g. `f1_weighted`, `mrr`; always a fraction, never a percentage.
        value: the number; NaN where it is not defined.
    """

    source: str
    target: str
    method: str
    metric: str
    value: float


@dataclass(frozen=True)
class Record:
    """One run: its numbers, what determined them and where they came from. All fields are JSON but `rows`.

    Attributes:
        key: the `content_key` of what determines the numbers.
        task: e.g. `digits_stitch`.
        method: e.g. `param-wip`.
        config: what determines the numbers; `config["seed"]` is the run's seed.
        rows: the numbers.
        curves: fit name -> quantity -> one value per epoch.
        views: for figures, by kind: `{kind: samples, source, target, labels, native: [[x, y]], carried}`;
            others as in tasks/pictures.py, reconstruction.py and geometry.py.
        diagnostics: anything else worth knowing.
        timings: phase -> seconds.
        provenance: git, versions, device, revisions.
    """

    key: str
    task: str
    method: str
    config: dict[str, Any]
    rows: list[Row]
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write the text of the file. NaN is null and an infinity "inf" or "-inf", as JSON has neither.

        Raises:
            TypeError: a field holds something that is not JSON; the message says where.
        """
        rows = [row._replace(value=float(row.value))._asdict() for row in self.rows]
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        return seal(_finite({"schema": SCHEMA, **content, "rows": rows}))

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Read what `to_json` wrote, where tuples are lists; null in `diagnostics` and `timings` is None.

        Raises:
            OtherSchemaError: another version wrote it.
            CorruptError: it is not what was written.
        """
        return cls.from_fields(unseal(text, SCHEMA))

    @classmethod
    def from_fields(cls, content: dict[str, Any]) -> Record:
        """Make a record of what was parsed and verified; `content` is changed.

        Raises:
            CorruptError: there are other fields than a record's.
        """
        if content.keys() != {"schema"} | {one.name for one in fields(cls)}:
            raise CorruptError(f"its fields are {', '.join(sorted(content))}")
        del content["schema"]
        content["rows"] = [Row(**{**row, "value": _numbers(row["value"])}) for row in content["rows"]]
        content["curves"] = _numbers(content["curves"])
        for view in content["views"]:
            view.update({name: _numbers(view[name]) for name in ("native", "carried") if name in view})
        return cls(**content)


class RecordStore(Store[Record]):
    """Files `<root>/<key>.json`, each a `Record`, written whole and verified on every read."""

    schema = SCHEMA
    manifest = ""

    def path(self, key: str) -> Path:
        """Name the file of the record of `key`, which need not exist."""
        return self.root / f"{require_key(key)}.json"

    def failure(self, key: str) -> Path:
        """Name the file in which a sweep's worker says why there is no record; it goes when there is one."""
        return self.root.parent / "failures" / f"{require_key(key)}.error.json"

    def keys(self) -> list[str]:
        """List the keys of all records, sorted; their content is not verified."""
        return sorted(path.stem for path in self.root.glob("*.json") if is_key(path.stem))

    def parsed(self) -> dict[str, dict[str, Any]]:
        """Parse all records, by their keys: JSON that is not verified, enough to plan by.

        What is no JSON, another version's or unreadable is passed over. Ten times faster than `read`.
        """
        found = {}
        for key in self.keys():
            with suppress(OSError, ValueError, RecursionError, CorruptError):
                content = json.loads(read_regular(self.path(key)))
                if isinstance(content, dict) and (content.get("schema"), content.get("key")) == (SCHEMA, key):
                    found[key] = content
        return found

    def require(self, key: str) -> Record:
        """Read the record of `key`, where it may only be read.

        Raises:
            UserError: there is none.
        """
        if (record := self.find(key)) is None:
            what = f"there is no record {self.path(key)}, and overwrite=never"
            raise user_error(what, "run with overwrite=missing")
        return record

    def get_or_run(
        self, key: str, run: Callable[[], Record], overwrite: str = "missing"
    ) -> tuple[Record, bool]:
        """Read the record of `key`, or make it by `run`; and whether it was made now.

        Args:
            key: the `content_key` that the record of `run` has.
            run: makes the record; called once when several processes ask for the same key at a time.
            overwrite: "missing" runs if there is no record; "always" runs and replaces; "never" only reads.

        Raises:
            UserError: "never" and there is no record; or it has to be made and cannot be written.
        """
        if overwrite not in _OVERWRITE:
            what = f"overwrite={overwrite} does not exist"
            raise user_error(what, f"choose one of {', '.join(_OVERWRITE)}")
        if overwrite == "never":
            return self.require(key), False
        return self._make_once(key, lambda: self._write(key, run()), redo=overwrite == "always")

    def put(self, record: Record, *, replace: bool = False) -> Record:
        """Store `record` and return what is stored: without `replace`, the first record of a key stays.

        A second one with other rows means that something which determines the numbers is not in the key,
        or that the run is not reproducible; that is logged as a warning.
        """
        stored, made = self._make_once(record.key, lambda: self._write(record.key, record), redo=replace)
        if not made and numbers_of(stored) != numbers_of(record):
            what = "%s stays: a second run with the same key gave other numbers, not kept"
            _LOG.warning(what, self.path(record.key))
        return stored

    def _load(self, path: Path, fields: dict[str, Any]) -> Record:
        return Record.from_fields(fields)

    def _write(self, key: str, record: Record) -> Record:
        """Write the record under the lock of its key, and return it as a later read will."""
        if record.key != key:
            raise ValueError(f"the run of {key} made a record with the key {record.key}")
        path, text = self.path(key), record.to_json()
        stored = Record.from_json(text)
        try:
            self.read(key)
        except OtherSchemaError as other:  # another version's is not ours to overwrite; a corrupt one may be
            aside = move_aside(path, f"schema-{other.found}")
            _LOG.warning("%s: %s; kept as %s", path, other, aside)
        except CorruptError:
            pass
        write_atomic(path, text.encode())
        remove_temp(self.failure(key))
        return stored


def numbers_of(record: Record) -> str:
    """Write the rows as text: two records of a key should have the same."""
    return canonical_json(_finite([list(row) for row in record.rows]))


def _finite(value: Any) -> Any:
    """NaN -> None, infinities -> text: a run that diverged is a result too, and must be writable."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(float(value))
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _numbers(value: Any) -> Any:
    """The inverse of `_finite` where every leaf is a number."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [item if type(item) is float else _numbers(item) for item in value]
    return math.nan if value is None else float(value)
