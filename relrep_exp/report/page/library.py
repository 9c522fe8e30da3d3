"""Read what the page shows: the records of one or several outputs folders, and their experiments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from relrep_exp.errors import Problem
from relrep_exp.report.experiment import FILE, Closing
from relrep_exp.store.files import CorruptError, OtherSchemaError
from relrep_exp.store.frame import survey, unusable

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

_AGAIN = "run the experiment's command again: it writes the file anew, from the records"


@dataclass(frozen=True)
class Ended:
    """An experiment, and the folder that it ended in."""

    closing: Closing
    folder: Path


@dataclass(frozen=True)
class Library:
    """What the page shows.

    Attributes:
        outputs: the folders.
        records: by key.
        files: where each record is.
        experiments: those beside the paper's numbers first, then by name; the same experiment once.
        problems: every file that is not used, and why.
    """

    outputs: tuple[Path, ...]
    records: dict[str, Record]
    files: dict[str, Path]
    experiments: list[Ended]
    problems: list[Problem]


def library(outputs: Sequence[Path]) -> Library:
    """Read the folders, in this order; what cannot be read is told and the rest kept.

    Raises:
        UserError: a folder does not exist.
    """
    found = survey(outputs)
    problems = list(found.problems)
    distinct: dict[tuple[str, ...], Ended] = {}
    for folder in outputs:
        # An experiment that was split into several tables has a numbered folder for each.
        paths = [*folder.glob(f"report/*/{FILE}"), *folder.glob(f"report/*/[0-9]*/{FILE}")]
        for path in sorted(paths):
            if (closing := _read(path, problems)) is not None:
                # The same runs in the same form are the same table, whichever folder it ended in.
                form = (closing.experiment.name, closing.experiment.title, closing.profile)
                keys = sorted({place.key for place in closing.places})
                distinct.setdefault((*form, *keys), Ended(closing, path.parent))
    experiments = sorted(distinct.values(), key=lambda ended: _order(ended.closing))
    return Library(tuple(outputs), found.records, found.files, experiments, problems)


def _read(path: Path, problems: list[Problem]) -> Closing | None:
    try:
        return Closing.load(path)
    except (CorruptError, OtherSchemaError) as error:
        problems.append(unusable(path, error, _AGAIN))
    except ValidationError:  # a version whose experiments have other keys
        problems.append(Problem(f"{path} is not used: another version wrote it", _AGAIN))
    except OSError as error:
        problems.append(Problem(f"cannot read {path}: {error.strerror}", _AGAIN))
    return None


def _order(closing: Closing) -> tuple[bool, list[str | int], str]:
    """Put `table2` before `table10`, and what stands beside the paper's numbers first."""
    parts = re.split(r"(\d+)", closing.experiment.name)
    numbered: list[str | int] = [int(part) if part.isdigit() else part for part in parts]
    return closing.experiment.paper is None, numbered, closing.experiment.title
