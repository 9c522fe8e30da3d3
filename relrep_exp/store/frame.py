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
_ORDER = ("key", "task", "method", "source", "target", "metric", "value", "seed", *list(_RUN)[4:])
# Of a number, or of 1 where it is smaller: what another processor or number of threads makes.
_ROUNDING = 1e-5
_AGAIN = "run its command again: the damaged file is kept beside it, and the record is made anew"


def load_records(*outputs: str | Path) -> pd.DataFrame:
    """Load every number of every record, one a line, with the configuration of its run.

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
    """Make the frame of `load_records` of these records."""
    import pandas as pd

    kept = list(records)
    runs, configs = [], []
    for record in kept:
        method, config = record.config.get("method"), dict(record.config)
        if isinstance(method, Mapping):  # its parts go where the command line has them
            del config["method"]
            config |= {key: value for key, value in method.items() if key != "name"}
        configs.append(_flat(config))
        seconds = [taken for taken in record.timings.values() if taken is not None]
        run: dict[str, Any] = {"key": record.key, "task": record.task, "method": record.method}
        run |= {"seed": record.config.get("seed"), "seconds": math.fsum(seconds) if seconds else None}
        runs.append(run | {name: record.provenance.get(name) for name in ("device", "started", "command")})
    keys = sorted({key for config in configs for key in config} - set(_ORDER))
    columns = {name: pd.Series([run[name] for run in runs], dtype=kind) for name, kind in _RUN.items()}
    columns |= {key: _column([config.get(key) for config in configs]) for key in keys}
    of_run = [number for number, record in enumerate(kept) for _ in record.rows]
    frame = pd.DataFrame(columns).iloc[of_run].reset_index(drop=True)
    for name, kind in _ROW.items():
        frame[name] = pd.Series([getattr(row, name) for record in kept for row in record.rows], dtype=kind)
    return frame[[*_ORDER, *keys]]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten to dotted keys; a list becomes JSON text, so that it can be compared and grouped by."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _column(values: Sequence[Any]) -> pd.Series[Any]:
    """Put values into the narrowest type that leaves them what they are; None is NA."""
    import pandas as pd

    kinds = frozenset(type(value) for value in values if value is not None)
    known = {bool: "boolean", int: "Int64", float: "float64", str: "string"}
    named = {frozenset({kind}): name for kind, name in known.items()} | {frozenset({int, float}): "float64"}
    return pd.Series(values, dtype=named.get(kinds, "object"))


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
    if missing := [path for path in outputs if not path.is_dir()]:
        remedy = "name the folder that holds records/, as paths.outputs does"
        raise UserError(Problem(f"there is no folder {path}", remedy) for path in missing)
    found = Survey()
    for folder in dict.fromkeys(path.resolve() for path in outputs):
        named = next(path for path in outputs if path.resolve() == folder)
        _add(found, RecordStore(named / "records"))
    for (first, second), gaps in found.rounded.items():
        runs = "1 run" if len(gaps) == 1 else f"{len(gaps)} runs"
        what = f"{first} and {second} both have {runs} whose numbers differ by {max(gaps):.1g} at most"
        remedy = "nothing to mend: it is rounding"
        found.problems.append(Problem(f"{what}; those of the first are used", remedy))
    return found


def unusable(path: Path, error: Exception, remedy: str = _AGAIN) -> Problem:
    """Tell of a file that is damaged or of another version; `remedy` mends a damaged one."""
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
    """Keep a record; tell where its run has another one already, with other numbers."""
    first = found.records.setdefault(record.key, record)
    kept = found.files.setdefault(record.key, path)
    if first is record or _content(first) == _content(record):
        return
    gap, where = _furthest(first, record)
    if gap <= _ROUNDING:
        found.rounded.setdefault((kept.parent, path.parent), []).append(gap)
        return
    what = f"{kept} and {path} are records of one run, with other numbers ({where})"
    problem = f"{what}; the first is used, the second left as it is"
    found.problems.append(Problem(problem, "see which is right: overwrite=always computes a run anew"))


def _content(record: Record) -> str:
    """Write all but time and place."""
    return json.dumps([numbers_of(record), record.curves, record.views], sort_keys=True)


def _furthest(first: Record, second: Record) -> tuple[float, str]:
    """Find the number that differs most, relative to what is larger than 1, and say where it is.

    One that is not a number on one side differs most of all.
    """
    ours, theirs = ({row[:4]: row.value for row in record.rows} for record in (first, second))
    if ours.keys() != theirs.keys():
        where = f"{len(first.rows)} and {len(second.rows)} rows that are not of the same pairs and metrics"
        return math.inf, where
    furthest, where = 0.0, "none in the rows"
    for row, one in ours.items():
        other = theirs[row]
        if one == other or (math.isnan(one) and math.isnan(other)):
            continue
        gap = abs(one - other) / max(1.0, abs(one))
        if not gap <= furthest:
            source, target, _, metric = row
            furthest, where = gap, f"up to {gap:.2g}, in {metric} of {source} and {target}"
        if math.isnan(gap):
            break
    return furthest, where
