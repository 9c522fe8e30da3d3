"""One run of a sweep, in whatever process a launcher made, and the file that says how far it is."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pydantic import TypeAdapter

from relrep_exp.errors import UserError, user_error
from relrep_exp.store.files import write_atomic
from relrep_exp.training import threads

if TYPE_CHECKING:
    from relrep_exp.app.run import Outcome


@dataclass(frozen=True)
class State:
    """How far a run is; a file `<number>.json` of the sweep, replaced as a whole.

    Attributes:
        number: of the run in the sweep.
        status: `running` stays when its process is killed.
        host: where it runs.
        pid: its process there.
        seconds: how long it took.
        fresh: whether its record was computed by it.
        problems: what a user has to mend, with its remedy.
        trace: the traceback of a defect.
    """

    number: int
    status: Literal["running", "done", "failed"]
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    seconds: float = 0.0
    fresh: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    trace: str = ""

    def save(self, folder: Path) -> None:
        """Write the file.

        Raises:
            UserError: the folder cannot be written.
        """
        write_atomic(folder / f"{self.number}.json", _STATE.dump_json(self))

    @staticmethod
    def load_all(folder: Path, but: Collection[int] = ()) -> dict[int, State]:
        """The states of all runs that have begun, but for some, those that ended first in front."""
        known = {f"{number}.json" for number in but}
        found = [path for path in folder.glob("*.json") if path.name not in known]
        files = sorted(found, key=lambda path: path.stat().st_mtime_ns)
        states = [_STATE.validate_json(path.read_bytes()) for path in files]
        return {state.number: state for state in states}


_STATE = TypeAdapter(State)


@dataclass(frozen=True)
class Worker:
    """What a launcher calls, with the configuration of one run; picklable.

    Attributes:
        job: makes the record of a configuration.
        states: the folder of the sweep's states.
        cwd: what relative paths of the command line start from.
        threads: how many it may use; 0 leaves that to Slurm, to Ray or to the libraries.
    """

    job: Callable[[DictConfig], Outcome]
    states: Path
    cwd: Path
    threads: int

    def __call__(self, composed: DictConfig) -> None:
        """Make the record and say so. What fails is said too, and not raised: launchers differ in that."""
        number = int(str(HydraConfig.get().sweep.subdir))
        State(number, "running").save(self.states)
        try:
            self._enter(composed)
            outcome = self.job(composed)
        except UserError as error:
            told = tuple((problem.what, problem.remedy) for problem in error.problems)
            ended = State(number, "failed", problems=told)
        except (Exception, SystemExit):  # a plugin's sys.exit must not take the worker with it
            ended = State(number, "failed", trace=traceback.format_exc())
        else:
            ended = State(number, "done", seconds=outcome.seconds, fresh=outcome.fresh)
        ended.save(self.states)

    def _enter(self, composed: DictConfig) -> None:
        """Be where the sweep was started, with this worker's share of the cores."""
        asked = int(composed.runtime.threads or self.threads or threads.of_slurm())
        threads.limit(asked)
        composed.runtime.threads = asked or threads.given()
        try:
            os.chdir(self.cwd)
        except OSError as error:
            what = f"{self.cwd} cannot be entered on {socket.gethostname()}: {error.strerror}"
            raise user_error(what, "start the sweep in a folder that all machines share") from None
