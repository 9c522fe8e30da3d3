"""All records of some outputs folders: what is wrong with them, and their numbers as one tidy frame."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem, UserError
from relrep_exp.store.files import CorruptError, OtherSchemaError
from relrep_exp.store.records import Record, RecordStore, numbers_of

if TYPE_CHECKING:
    import pandas as pd

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
_ROUNDING = (
    1e-5  # of a number, or of 1 where it is smaller: what another processor or number of threads makes
)
_AGAIN = "run its command again: the damaged file is kept beside it, and the record is made anew"


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


@dataclass
class Survey:
    """What was found.

    Attributes:
        records: by key; of a key that two folders have, the one of the first folder.
        files: where each of them is.
        problems: every file that is not used, and why.
        rounded: two folders -> how far apart their records of one run are, where that is rounding alone.
    """

    records: dict[str, Record] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    rounded: dict[tuple[Path, Path], list[float]] = field(default_factory=dict)


def survey(outputs: Sequence[Path]) -> Survey:
    """Read `records/` of every folder, in this order.

    Raises:
        UserError: a folder does not exist; every such folder is named.
    """
    require_folders(outputs)
    found = Survey()
    for folder in dict.fromkeys(path.resolve() for path in outputs):
        named = next(path for path in outputs if path.resolve() == folder)
        _add(found, RecordStore(named / "records"))
    found.problems += [_rounded(*folders, gaps) for folders, gaps in found.rounded.items()]
    return found


def require_folders(outputs: Sequence[Path]) -> None:
    """Raise a `UserError` that names every folder that does not exist."""
    missing = [path for path in outputs if not path.is_dir()]
    if missing:
        raise UserError(
            Problem(
                f"there is no folder {path}", "name the folder that holds records/, as paths.outputs does"
            )
            for path in missing
        )


def unusable(path: Path, error: Exception, remedy: str = _AGAIN) -> Problem:
    """What to tell of a file that is damaged or of another version; `remedy` mends a damaged one."""
    if isinstance(error, OtherSchemaError):
        writer = "a newer version" if error.newer else "an older version"
        mended = "update relrep_exp" if error.newer else "run its command again to have it made anew"
        return Problem(f"{path} is not used: {error} ({writer} wrote it)", mended)
    return Problem(f"{path} is not used, it is damaged: {error}", remedy)


def _add(found: Survey, store: RecordStore) -> None:
    for path in map(store.path, store.keys()):
        try:
            record = store.read(path.stem)
        except (CorruptError, OtherSchemaError) as error:
            found.problems.append(unusable(path, error))
        except UserError as error:
            found.problems += error.problems
        except OSError as error:  # a disk or a network file system that fails hides no other record
            found.problems.append(Problem(f"cannot read {path}: {error.strerror}", "look at the file system"))
        else:
            if record is not None:  # else it went meanwhile
                _keep(found, record, path)


def _keep(found: Survey, record: Record, path: Path) -> None:
    first = found.records.setdefault(record.key, record)
    kept = found.files.setdefault(record.key, path)
    if first is record or _content(first) == _content(record):
        return
    gaps = _gaps(first, record)
    if gaps is not None and all(gap <= _ROUNDING for _, gap in gaps):
        found.rounded.setdefault((kept.parent, path.parent), []).append(max(gap for _, gap in gaps))
        return
    how = f"with other numbers ({_furthest(first, record)})"
    what = f"{kept} and {path} are records of one run, {how}; the first is used, the second left as it is"
    found.problems.append(Problem(what, "see which is right: overwrite=always computes a run anew"))


def _content(record: Record) -> str:
    """All but time and place."""
    return json.dumps([numbers_of(record), record.curves, record.views], sort_keys=True)


def _gaps(first: Record, second: Record) -> list[tuple[tuple[str, ...], float]] | None:
    """How far apart each number is, relative to what is larger than 1; None where the rows do not match."""
    ours, theirs = ({row[:4]: row.value for row in record.rows} for record in (first, second))
    if ours.keys() != theirs.keys():
        return None
    return [(name, _apart(ours[name], theirs[name])) for name in ours]


def _apart(one: float, other: float) -> float:
    """0 for two that are equal, or both not a number."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) / max(1.0, abs(one))


def _furthest(first: Record, second: Record) -> str:
    """The row that differs most; one that is not a number on one side differs most of all."""
    gaps = _gaps(first, second)
    if gaps is None:
        return f"{len(first.rows)} and {len(second.rows)} rows that are not of the same pairs and metrics"
    (source, target, _, metric), gap = max(gaps, key=lambda item: (math.isnan(item[1]), item[1]))
    return f"up to {gap:.2g}, in {metric} of {source} and {target}"


def _rounded(first: Path, second: Path, gaps: Sequence[float]) -> Problem:
    """One line for all of them."""
    runs = "1 run" if len(gaps) == 1 else f"{len(gaps)} runs"
    what = f"{first} and {second} both have {runs} whose numbers differ by {max(gaps):.1g} at most"
    return Problem(f"{what}; those of the first are used", "nothing to mend: it is rounding")
