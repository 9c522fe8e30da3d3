"""One run of a sweep, in whatever process a launcher made, and the file that it leaves if it fails."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from relrep_exp.errors import UserError, user_error
from relrep_exp.store.files import remove_temp, write_atomic
from relrep_exp.store.records import RecordStore
from relrep_exp.training import threads


@dataclass(frozen=True)
class Worker:
    """Make the record of one run, or say in a file why not; a launcher calls it, and can pickle it.

    Attributes:
        job: makes the record of a configuration.
        sweep: what tells this sweep's failures from those that an earlier one left.
        cwd: what relative paths of the command line start from.
        threads: how many it may use; 0 leaves that to Slurm, to Ray or to the libraries.
    """

    job: Callable[[DictConfig], Any]
    sweep: str
    cwd: Path
    threads: int

    def __call__(self, composed: DictConfig) -> None:
        """Make the record. What fails is written down and not raised: launchers differ in that."""
        settings = HydraConfig.get()
        os.utime(settings.runtime.output_dir)  # it has begun, even where an earlier sweep made this folder
        records = RecordStore(Path(self.cwd, str(composed.paths.outputs), "records"))
        # The key comes as the job's name: a configuration that cannot be read here has a failure, too.
        failure = records.failure(str(settings.job.name))
        remove_temp(failure)
        try:
            self._enter(composed)
            self.job(composed)
            return
        except UserError as error:
            why = {"problems": [[problem.what, problem.remedy] for problem in error.problems], "trace": ""}
        except (Exception, SystemExit):  # a plugin's sys.exit must not take the worker with it
            why = {"problems": [], "trace": traceback.format_exc()}
        words = list(settings.overrides.task)
        told = {"sweep": self.sweep, "host": socket.gethostname(), "overrides": words, **why}
        write_atomic(failure, json.dumps({**told, "code": 2 if why["problems"] else 1}, indent=1).encode())

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
