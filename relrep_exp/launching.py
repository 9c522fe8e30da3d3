"""Many runs through one of Hydra's launchers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from relrep_exp.errors import UserError
from relrep_exp.plan import Run

Launch = Callable[[list[list[str]]], Sequence[Any]]


@dataclass(frozen=True)
class Failure:
    """Why a run has no record.

    Attributes:
        code: the exit code that it asks for: 2 for what the user can mend, 1 for a defect or a dead worker.
        reason: in a few words.
    """

    code: int
    reason: str


def launch_all(runs: Sequence[Run], launch: Launch) -> dict[str, Failure]:
    """Make the records of some runs; what fails does not stop the others.

    Args:
        runs: each another.
        launch: Hydra's launcher; takes the overrides of each job, returns one job result each.

    Returns:
        Why there is no record, by the record's key.

    Raises:
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    jobs = launch([list(run.overrides) for run in runs])
    ended = {run.key: _failure(job) for run, job in zip(runs, jobs, strict=False)}
    return {key: failure for key, failure in ended.items() if failure is not None}


def _failure(job: Any) -> Failure | None:
    """A user's error was told by the job, ours is shown here."""
    error = getattr(job, "_return_value", None)
    if not isinstance(error, BaseException):
        return None
    if isinstance(error, UserError):
        return Failure(2, f"failed: {error.problems[0].what}")
    traceback.print_exception(error)
    return Failure(1, f"failed: {type(error).__name__}: {error}")
