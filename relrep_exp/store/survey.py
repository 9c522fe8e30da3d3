"""All records of one or several outputs folders, and what is wrong with them. Nothing is moved or written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path

from relrep_exp.errors import Problem, UserError
from relrep_exp.store.records import Record, RecordStore, numbers_of
from relrep_exp.store.sealed import CorruptError, OtherSchemaError

_ROUNDING = (
    1e-5  # of a number, or of 1 where it is smaller: what another processor or number of threads makes
)
_AGAIN = "run its command again: the damaged file is kept beside it, and the record is made anew"


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
    if one == other or (isnan(one) and isnan(other)):
        return 0.0
    return abs(one - other) / max(1.0, abs(one))


def _furthest(first: Record, second: Record) -> str:
    """The row that differs most; one that is not a number on one side differs most of all."""
    gaps = _gaps(first, second)
    if gaps is None:
        return f"{len(first.rows)} and {len(second.rows)} rows that are not of the same pairs and metrics"
    (source, target, _, metric), gap = max(gaps, key=lambda item: (isnan(item[1]), item[1]))
    return f"up to {gap:.2g}, in {metric} of {source} and {target}"


def _rounded(first: Path, second: Path, gaps: Sequence[float]) -> Problem:
    """One line for all of them."""
    runs = "1 run" if len(gaps) == 1 else f"{len(gaps)} runs"
    what = f"{first} and {second} both have {runs} whose numbers differ by {max(gaps):.1g} at most"
    return Problem(f"{what}; those of the first are used", "nothing to mend: it is rounding")
