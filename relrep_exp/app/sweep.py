"""Many runs: each once, launched by Hydra's launcher, closed with their tables from records."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from relrep_exp.app import closing
from relrep_exp.app.launch import Failure, Launch
from relrep_exp.app.plan import Part, Run, distinct
from relrep_exp.errors import UserError, tell
from relrep_exp.store.records import Record


@dataclass(frozen=True)
class Sweep:
    """A plan on its way.

    Attributes:
        parts: the plan.
        runs: its runs, each once.
        found: the records that are there and may stand, by the run's place.
    """

    parts: Sequence[Part]
    runs: Sequence[Run]
    found: Mapping[str, Record]

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Sweep:
        """Read the records that there are."""
        runs = distinct(run for part in parts for run in part.runs)
        return cls(parts, runs, _read([run for run in runs if run.config.overwrite != "always"]))

    @property
    def left(self) -> list[Run]:
        """The runs that are still to be made."""
        return [run for run in self.runs if run.place not in self.found]

    @property
    def reads(self) -> bool:
        """Whether nothing is to be made: every record is there, or may only be read."""
        return all(run.config.overwrite == "never" for run in self.left)


_handed: ContextVar[Sweep] = ContextVar("handed")


@contextmanager
def handing(sweep: Sweep) -> Iterator[None]:
    """Hand a sweep to Hydra's sweeper, which is made by Hydra and knows words alone."""
    token = _handed.set(sweep)
    try:
        yield
    finally:
        _handed.reset(token)


def handed() -> Sweep:
    """Return the sweep that Hydra's sweeper is to run."""
    return _handed.get()


def run_all(sweep: Sweep, launch: Launch | None) -> int:
    """Launch what is left, and close every part with its table.

    Args:
        sweep: the plan, and what there is of it.
        launch: Hydra's launcher; None where nothing is to be made.

    Returns:
        0 when every run has its record, 130 after Ctrl-C, 2 where only users' errors are in the way, else 1.
    """
    start = time.perf_counter()
    _show(sweep)
    codes = _each(sweep.parts, lambda part: closing.begin(part, sweep.found)) if sweep.left else []
    failures = _refused(sweep.left)
    ready = [run for run in sweep.left if run.place not in failures]
    if launch is not None and ready:
        failures |= launch.make(ready)
    interrupted = launch is not None and launch.interrupted
    records = {**sweep.found, **_read(sweep.left)}
    other = Failure(130, "interrupted") if interrupted else Failure(1, "ended without a record")
    failures |= {run.place: other for run in sweep.left if run.place not in records | failures}
    reasons = {place: failure.reason for place, failure in failures.items()}
    codes += _each(sweep.parts, lambda part: closing.close(part, records, reasons))
    codes += [failure.code for failure in failures.values()]
    if interrupted:
        done = f"{len(records)} of {len(sweep.runs)} runs are finished and kept"
        print(f"interrupted: {done}; the same command goes on", file=sys.stderr)
    took = time.perf_counter() - start
    print(f"{len(records)} records in {took:.1f} s: {sweep.runs[0].store.root}")
    return 130 if interrupted else min(codes, default=0)


def _show(sweep: Sweep) -> None:
    """A line for each run that has its record already; the numbers of those that are launched come first."""
    from relrep_exp.report.render.terminal import run_line

    for number, record in enumerate(sweep.found.values(), start=len(sweep.left)):
        run_line(record, number, 0.0, fresh=False)


def _read(runs: Sequence[Run]) -> dict[str, Record]:
    """The records that there are, by the run's place; each is read once."""
    found = {run.place: run.store.find(key) for run in runs if (key := run.known_key) is not None}
    return {place: record for place, record in found.items() if record is not None}


def _refused(runs: Sequence[Run]) -> dict[str, Failure]:
    """Tell of the runs that lack a file of which their key is made, or may only be read; by their place."""
    failures = {}
    for run in runs:
        try:
            key = run.key
            if run.config.overwrite == "never":
                run.store.require(key)
        except UserError as error:
            reason = f"failed: {error.problems[0].what}"
            failures[run.place] = Failure(tell(error, f"{run.command}: "), reason)
    return failures


def _each(parts: Sequence[Part], do: Callable[[Part], None]) -> list[int]:
    """Do something to every part; a problem with one does not keep the others from it."""
    codes = []
    for part in parts:
        try:
            do(part)
        except UserError as error:
            codes.append(tell(error))
        except Exception:  # a defect of ours in one table or figure
            traceback.print_exc()
            codes.append(1)
    return codes
