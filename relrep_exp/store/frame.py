"""All numbers of the store as one tidy frame, for people's own tables and plots."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.survey import survey

if TYPE_CHECKING:
    import pandas as pd

    from relrep_exp.store.records import Record

_LOG = logging.getLogger("relrep_exp")

# The columns that are always there, with the types that they have in an empty frame, too.
_ROW = {"source": "string", "target": "string", "metric": "string", "value": "float64"}
_RUN = {
    "key": "string",
    "task": "string",
    "method": "string",
    "seed": "Int64",
    "seconds": "float64",
    "device": "string",
    "started": "datetime64[ns, UTC]",
    "command": "string",
}
_ORDER = (
    *("key", "task", "method", "source", "target", "metric", "value", "seed"),
    *("seconds", "device", "started", "command"),
)


def load_records(*outputs: str | Path) -> pd.DataFrame:
    """Every number of every record, one a line, with the configuration of its run.

    Columns: `key, task, method, source, target, metric, value, seed, seconds` (of the whole run), `device,
    started, command`, then the configuration in dotted columns, named as on the command line where it has the
    key: `anchors.m`, `sim.name`, `decoder.name`. Where a run has no such key the column is missing (NA);
    lists are JSON text. Values are fractions, never percentages.

    Args:
        outputs: the folders that hold `records/`, `outputs` if none is named. Of a key that two have,
            the first folder's record is taken. What cannot be read is told as a warning.

    Raises:
        UserError: a folder does not exist.
    """
    found = survey([Path(folder) for folder in outputs or ("outputs",)])
    for problem in found.problems:
        _LOG.warning("%s", problem)
    return frame_of(found.records.values())


def frame_of(records: Iterable[Record]) -> pd.DataFrame:
    """The frame of `load_records`, of these records."""
    import pandas as pd

    kept = list(records)
    configs = [_flat(_as_typed(record.config)) for record in kept]
    keys = sorted({key for config in configs for key in config} - set(_ORDER))
    columns = {
        name: pd.Series([_run(record)[name] for record in kept], dtype=kind) for name, kind in _RUN.items()
    }
    columns |= {key: _column([config.get(key) for config in configs]) for key in keys}
    runs = pd.DataFrame(columns)
    of_run = [number for number, record in enumerate(kept) for _ in record.rows]
    rows = [row for record in kept for row in record.rows]
    frame = runs.iloc[of_run].reset_index(drop=True)
    for name, kind in _ROW.items():
        frame[name] = pd.Series([getattr(row, name) for row in rows], dtype=kind)
    return frame[[*_ORDER, *keys]]


def _run(record: Record) -> dict[str, Any]:
    """What is the same in all rows of a record."""
    seconds = [taken for taken in record.timings.values() if taken is not None]
    return {
        "key": record.key,
        "task": record.task,
        "method": record.method,
        "seed": record.config.get("seed"),
        "seconds": math.fsum(seconds) if seconds else None,
        **{name: record.provenance.get(name) for name in ("device", "started", "command")},
    }


def _as_typed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the method's parts where the command line has them."""
    method = config.get("method")
    if not isinstance(method, Mapping):
        return dict(config)
    others = {key: value for key, value in config.items() if key != "method"}
    return {**others, **{key: value for key, value in method.items() if key != "name"}}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys; a list as JSON text, so that it can be compared and grouped by."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _column(values: Sequence[Any]) -> pd.Series[Any]:
    """The values in the narrowest type that leaves them what they are; None is NA."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    known: tuple[tuple[set[type], str], ...] = (
        (set(), "object"),
        ({bool}, "boolean"),
        ({int}, "Int64"),
        ({float}, "float64"),
        ({str}, "string"),
    )
    kind = next((name for of, name in known if kinds == of), "object")
    return pd.Series(values, dtype="float64" if kinds == {int, float} else kind)
