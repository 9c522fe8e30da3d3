"""Many runs under any of Hydra's launchers: none twice, and those whose worker died once more.

What a launcher returns differs from launcher to launcher, and a worker that is killed makes some of them give
up the whole sweep. So a run is known by what it leaves: its record; or a file that says why it failed
(worker.py); or only its folder in the sweep, which Hydra makes first of all: then its worker died.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import fsum
from pathlib import Path
from typing import Any

from relrep_exp.app.plan import Run
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.store.files import CorruptError, OtherSchemaError, read_regular
from relrep_exp.training import threads
from relrep_exp.training.watching import watched


@dataclass(frozen=True)
class Failure:
    """Why a run has no record.

    Attributes:
        code: the exit code that it asks for: 2 for what the user can mend, 1 for a defect or a dead worker.
        reason: in a few words.
    """

    code: int
    reason: str


class Launch:
    """Make the records of some runs, no two of which share one, through Hydra's launcher.

    Args:
        start: takes the overrides of each job and returns one job result each when all have ended; or raises.
        folder: of the sweep; that of a run is in it, by the run's number.
        sweep: what workers sign failures with.

    Attributes:
        interrupted: whether Ctrl-C came; what was finished is kept.
    """

    def __init__(self, start: Callable[[list[list[str]]], Sequence[Any]], folder: Path, sweep: str):
        self.start, self.folder, self.sweep, self.interrupted = start, folder, sweep, False
        self._runs: Sequence[Run] = []
        self._before: dict[int, int] = {}  # of records that are to be made anew
        self._done: set[int] = set()
        self._failures: dict[int, Failure] = {}
        self._deaths: dict[int, str] = {}  # what the launcher knows of how a worker died

    def make(self, runs: Sequence[Run]) -> dict[str, Failure]:
        """Launch the runs. What fails does not stop the others; whose worker died runs once more, alone.

        Returns:
            Why there is no record, by the run's place.
        """
        self._runs = runs
        anew = [n for n, run in enumerate(runs) if run.config.overwrite == "always"]
        self._before = {n: _changed(runs[n].store.path(runs[n].key)) for n in anew}
        try:
            self._make()
        except KeyboardInterrupt:
            self.interrupted = True
        return {runs[number].place: failure for number, failure in self._failures.items()}

    def _make(self) -> None:
        waiting, lost = list(range(len(self._runs))), list[int]()
        while waiting:
            before = self._folders()
            fault = self._start(waiting)
            folders = self._folders()
            begun = {n for n in waiting if folders.get(n) != before.get(n)} | self._done | {*self._failures}
            lost += [number for number in waiting if number in begun and not self._ended(number)]
            rest = [number for number in waiting if number not in begun]
            if rest == waiting:  # the launcher itself does not work
                what = f"the launcher starts no worker: {fault or 'its jobs ended before they began'}"
                remedy = "see the keys of conf/hydra/launcher/, or use hydra/launcher=basic"
                print(f"error: {Problem(what, remedy)}", file=sys.stderr)
                self._failures |= dict.fromkeys(
                    rest, Failure(2, "not started: the launcher starts no worker")
                )
                break
            waiting = rest
        for number in lost:
            self._look()
            if not self._ended(number):
                self._again(number)

    def _start(self, numbers: Sequence[int]) -> str:
        """Launch them and tell how each ends; what the launcher complained of, "" if nothing."""
        jobs = []
        for number in numbers:
            run = self._runs[number]
            hydras = f"hydra.sweep.subdir={number}", f"hydra.job.name='{run.key}'"
            jobs.append([*run.overrides, *hydras])
        fault = ""
        try:
            # What workers print may go to another machine's file, so each end is told from here, meanwhile.
            with watched(self._look):
                ends = [getattr(job, "_return_value", None) for job in self.start(jobs)]
        except Exception as error:  # whatever a launcher raises when one of its workers is gone
            ends, fault = [error] * len(numbers), f"{type(error).__name__}: {error}"
        finally:
            self._look()
        for number, end in zip(numbers, ends, strict=False):
            if isinstance(end, BaseException):
                self._deaths[number] = _death(end)
        return fault

    def _look(self) -> None:
        """Tell of every run that has ended since the last look, those that ended first in front."""

        @cache  # listed, not asked for one by one: NFS remembers for a while that a file was not there
        def names(folder: Path) -> set[str]:
            return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

        ended = []
        for number, run in enumerate(self._runs):
            record, failure = run.store.path(run.key), run.store.failure(run.key)
            if number not in self._done and record.name in names(record.parent):
                ended.append((_changed(record), number, self._tell_done))
            if number not in self._failures and failure.name in names(failure.parent):
                ended.append((_changed(failure), number, self._tell_failed))
        for changed, number, told in sorted(ended, key=lambda one: one[:2]):
            told(number, changed)

    def _tell_done(self, number: int, changed: int) -> None:
        from relrep_exp.report.render.terminal import run_line

        run, record = self._runs[number], None
        if changed != self._before.get(number):  # else it is the one that is to be made anew
            with suppress(CorruptError, OtherSchemaError, UserError):  # such a one is replaced by the worker
                record = run.store.read(run.key)
        if record is not None:
            self._done.add(number)
            seconds = fsum(taken for taken in record.timings.values() if taken is not None)
            run_line(record, number, seconds, fresh=True)

    def _tell_failed(self, number: int, changed: int) -> None:
        run = self._runs[number]
        failed: dict[str, Any] = {"sweep": ""}
        with suppress(OSError, ValueError, RecursionError, CorruptError):  # it went: the run has begun anew
            failed = json.loads(read_regular(run.store.failure(run.key)))
        if failed["sweep"] != self.sweep:  # of an earlier command, or of another one at the same time
            return
        if failed["trace"]:
            print(f"{self._name(number)}:\n{failed['trace']}", file=sys.stderr)
            why = failed["trace"].splitlines()[-1]
        else:
            problems = [Problem(*told) for told in failed["problems"]]
            tell(UserError(problems), f"{self._name(number)}: ")
            why = "; ".join(problem.what for problem in problems)
        self._failures[number] = Failure(failed["code"], f"failed: {why}")

    def _again(self, number: int) -> None:
        """Launch one whose worker died once more, alone."""
        death = self._deaths.get(number, "")
        print(f"{self._name(number)} was lost{death}; it runs again, alone", file=sys.stderr)
        self._start([number])
        if not self._ended(number):
            death = self._deaths.get(number, "")
            what = f"run {number} was lost twice{death}: {self._runs[number].command}"
            remedy = "run it by itself to see what kills it; often it is the memory: try fewer workers"
            print(f"error: {Problem(what, remedy)}", file=sys.stderr)
            self._failures[number] = Failure(1, f"its worker died twice{death}")

    def _ended(self, number: int) -> bool:
        return number in self._done or number in self._failures

    def _name(self, number: int) -> str:
        return f"run {number} ({self._runs[number].command.removeprefix('python run.py ')})"

    def _folders(self) -> dict[int, int]:
        """When the folders of runs were changed, by number."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return {int(path.name): _changed(path) for path in found if path.name.isdecimal()}


def _changed(path: Path) -> int:
    """Tell one version of a file from the next; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _death(error: BaseException) -> str:
    """How a worker died, as far as its launcher knows: joblib names signals, the others say it in words."""
    signals = dict.fromkeys(re.findall(r"(SIG[A-Z0-9]+)\(-\d+\)", str(error)))
    if signals:
        return f" (killed by {', '.join(signals)})"
    first = next((f": {line.strip()}" for line in str(error).splitlines() if line.strip()), "")
    return f" ({type(error).__name__}{first})"


def threads_of(launcher: Mapping[str, Any]) -> int:
    """Share the cores among workers; 0 where there is one worker, or where a cluster says how many."""
    kind = str(launcher["_target_"]).rsplit(".", 1)[-1]
    if kind == "JoblibLauncher":
        from joblib import effective_n_jobs

        return threads.share(effective_n_jobs(launcher["n_jobs"]))
    if kind == "LocalLauncher":
        return threads.share(int(launcher.get("workers", 1)))
    if kind == "RayLauncher" and launcher["ray"]["init"].get("address") is None:
        cpus = int(launcher["ray"]["init"].get("num_cpus") or threads.cores())
        return threads.share(int(cpus / (launcher["ray"]["remote"].get("num_cpus") or 1)))
    return 0
