"""The sweeper behind -m and experiment=NAME: the plan's runs through Hydra's launcher, then their table."""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from hydra_plugins.relrep_presets import forget_stored, keep_apart


class RunsSweeper(Sweeper):
    """Launches exactly the runs that were checked before Hydra started."""

    def __init__(self, params: Any = None):
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what a launcher is made of; a sweep that only reads needs none."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.folder = Path(str(config.hydra.sweep.dir)).resolve()
        self.sign = secrets.token_hex(8)  # of the failures of this sweep
        # The folder's pattern has the process in it, and workers are other processes: name it in full.
        quoted = str(self.folder).replace("\\", "\\\\").replace("'", "\\'")
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.sweep.dir = str(self.folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")

    def sweep(self, arguments: list[str]) -> Any:
        """Run the plan that was made of the command line and leave with its exit code."""
        from relrep_exp.app.launch import Launch
        from relrep_exp.app.sweep import handed, run_all

        if code := run_all(handed(), Launch(self._start, self.folder, self.sign)):
            raise SystemExit(code)

    def _start(self, jobs: list[list[str]]) -> Sequence[Any]:
        """Launch the jobs; their workers are new processes, maybe on other machines."""
        from relrep_exp.app.launch import threads_of
        from relrep_exp.app.worker import Worker

        assert self.hydra_context is not None and self.config is not None
        root = str(Path(__file__).resolve().parents[1])
        path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if root not in path:  # new processes find this package, installed or not
            os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, path)])
        launcher = self.config.hydra.launcher
        module, name = str(launcher["_target_"]).rsplit(".", 1)
        if module.startswith("hydra_plugins._relrep_"):  # ours, which needs a package that not everybody has
            Plugins.instance().register(getattr(importlib.import_module(module), name))
            forget_stored()  # what that package has just stored
        keep_apart(self.hydra_context.config_loader)
        worker = Worker(self.task_function, self.sign, Path.cwd(), threads_of(launcher))
        made = Plugins.instance().instantiate_launcher(self.hydra_context, worker, self.config)
        return made.launch(jobs, initial_job_idx=0)
