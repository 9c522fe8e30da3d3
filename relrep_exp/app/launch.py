"""Many runs under any of Hydra's launchers: none twice, and those whose worker died once more.

What a launcher returns differs from launcher to launcher, and a worker that is killed makes some of them give
up the whole sweep. So every run says itself how far it is, in a file (worker.py), and this reads the files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relrep_exp.app.plan import Run
from relrep_exp.app.worker import State
from relrep_exp.errors import Problem, UserError, tell
from relrep_exp.store.records import Record
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


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with the failures of runs that had ended before, by the record's key."""

    def __init__(self, failures: dict[str, Failure]):
        super().__init__()
        self.failures = failures


@dataclass(frozen=True)
class Launch:
    """Hydra's launcher, whose workers leave their states in a folder.

    Attributes:
        start: takes the overrides of each job and returns one job result each when all have ended; or raises.
        states: the folder; it need not exist.
    """

    start: Callable[[list[list[str]]], Sequence[Any]]
    states: Path


def launch_all(runs: Sequence[Run], launch: Launch) -> dict[str, Failure]:
    """Make the records of some runs, no two of which share one.

    What fails does not stop the others. A run whose worker died is launched once more, alone.

    Returns:
        Why there is no record, by the record's key; empty when every run has its own.

    Raises:
        Interrupted: Ctrl-C; what is finished is kept.
    """
    crew = _Crew(runs, launch)
    try:
        crew.make(range(len(runs)))
    except KeyboardInterrupt:
        raise Interrupted(crew.by_key) from None
    return crew.by_key


@dataclass
class _Crew:
    """Runs on their way through a launcher.

    Attributes:
        runs: all of the plan.
        launch: how some of them are started.
        failures: of those that ended without a record, by number.
        ended: the numbers of those that were told.
        deaths: what is known of how the worker of a run died, by number.
    """

    runs: Sequence[Run]
    launch: Launch
    failures: dict[int, Failure] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    deaths: dict[int, str] = field(default_factory=dict)

    @property
    def by_key(self) -> dict[str, Failure]:
        """The failures by the record's key."""
        return {self.runs[number].key: failure for number, failure in self.failures.items()}

    def make(self, numbers: Sequence[int]) -> None:
        """Make their records."""
        waiting, lost = list(numbers), list[int]()
        while waiting:
            fault = self._start(waiting)
            begun = State.load_all(self.launch.states)
            lost += [number for number in waiting if number in begun and number not in self.ended]
            rest = [number for number in waiting if number not in begun]
            if rest == waiting:
                self._give_up(rest, fault)
                break
            waiting = rest
        for number in lost:
            self._again(number)

    def _start(self, numbers: Sequence[int]) -> str:
        """Launch them and tell how each ends; what the launcher complained of, "" if nothing."""
        self.launch.states.mkdir(parents=True, exist_ok=True)
        jobs = [[*self.runs[number].overrides, f"hydra.sweep.subdir={number}"] for number in numbers]
        with self._telling():
            try:
                ends = [getattr(job, "_return_value", None) for job in self.launch.start(jobs)]
            except Exception as error:  # whatever a launcher raises when one of its workers is gone
                ends = [error] * len(numbers)
                fault = f"{type(error).__name__}: {error}"
            else:
                fault = ""
        died = {n: end for n, end in zip(numbers, ends, strict=False) if isinstance(end, BaseException)}
        self.deaths |= {number: _death(error) for number, error in died.items()}
        return fault

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell in the meantime which runs have ended: what workers print may go to another machine's file."""
        try:
            with watched(self._tell):
                yield
        finally:
            self._tell()

    def _tell(self) -> None:
        """A line for every run that has ended since the last time."""
        for number, state in State.load_all(self.launch.states, but=self.ended).items():
            if state.status == "running":
                continue
            self.ended.add(number)
            run = self.runs[number]
            record = run.store.find(run.key) if state.status == "done" else None
            if record is not None:
                _show(record, number, state)
            elif state.trace:
                print(f"run {number} ({_words(run)}):\n{state.trace}", file=sys.stderr)
                self.failures[number] = Failure(1, f"failed: {state.trace.splitlines()[-1]}")
            else:
                self.failures[number] = _told(run, number, [Problem(*told) for told in state.problems])

    def _again(self, number: int) -> None:
        """Launch one whose worker died once more, unless it has ended meanwhile."""
        self._tell()
        if number in self.ended:
            return
        run, death = self.runs[number], self.deaths.get(number, "")
        print(
            f"run {number} ({_words(run)}) was lost{_because(death)}; it runs again, alone", file=sys.stderr
        )
        self._start([number])
        if number not in self.ended:
            death = self.deaths.get(number, "")
            what = f"run {number} was lost twice{_because(death)}: {run.command}"
            remedy = "run it by itself to see what kills it; often it is the memory: try fewer workers"
            print(f"error: {Problem(what, remedy)}", file=sys.stderr)
            self.failures[number] = Failure(1, f"its worker died twice{_because(death)}")

    def _give_up(self, numbers: Sequence[int], fault: str) -> None:
        """None of them was begun: the launcher itself does not work."""
        what = f"the launcher starts no worker: {fault or 'its jobs ended before they began'}"
        remedy = "see the keys of conf/hydra/launcher/, or use hydra/launcher=basic"
        print(f"error: {Problem(what, remedy)}", file=sys.stderr)
        self.failures |= dict.fromkeys(numbers, Failure(2, "not started: the launcher starts no worker"))


def _told(run: Run, number: int, problems: Sequence[Problem]) -> Failure:
    """Tell what a user has to mend."""
    code = tell(UserError(problems), f"run {number} ({_words(run)}): ")
    return Failure(code, f"failed: {'; '.join(problem.what for problem in problems)}")


def _show(record: Record, number: int, state: State) -> None:
    from relrep_exp.report.render.terminal import run_line

    run_line(record, number, state.seconds, state.fresh)


def _death(error: BaseException) -> str:
    """How a worker died, as far as its launcher knows: joblib names signals, the others say it in words."""
    signals = dict.fromkeys(re.findall(r"(SIG[A-Z0-9]+)\(-\d+\)", str(error)))
    if signals:
        return f"killed by {', '.join(signals)}"
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _because(death: str) -> str:
    return f" ({death})" if death else ""


def _words(run: Run) -> str:
    """The overrides that make a run by itself."""
    return run.command.removeprefix("python run.py ")


def threads_of(launcher: Mapping[str, Any]) -> int:
    """The threads of each worker; 0 where there is one worker, or where a cluster says how many."""
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
