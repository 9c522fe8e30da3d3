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


class RunsSweeper(Sweeper):
    """Launches exactly the runs that were checked before Hydra started."""

    def __init__(self, params: Any = None):
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what a launcher is made of; a sweep that only reads needs none."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.folder = Path(str(config.hydra.sweep.dir)).resolve()
        _fix_folder(config, self.folder)
        self.states = self.folder / f"states-{secrets.token_hex(4)}"

    def sweep(self, arguments: list[str]) -> Any:
        """Run the plan that was made of the command line and leave with its exit code."""
        from relrep_exp.app.launch import Launch
        from relrep_exp.app.sweep import handed, run_all

        if code := run_all(handed(), Launch(self._start, self.states)):
            raise SystemExit(code)

    def _start(self, jobs: list[list[str]]) -> Sequence[Any]:
        """Launch the jobs; their workers are new processes, maybe on other machines."""
        from relrep_exp.app.launch import threads_of
        from relrep_exp.app.worker import Worker

        assert self.hydra_context is not None and self.config is not None
        _share_path()
        launcher = self.config.hydra.launcher
        worker = Worker(self.task_function, self.states, Path.cwd(), threads_of(launcher))
        _register(str(launcher["_target_"]))
        made = Plugins.instance().instantiate_launcher(self.hydra_context, worker, self.config)
        return made.launch(jobs, initial_job_idx=0)


def _fix_folder(config: DictConfig, folder: Path) -> None:
    """Name the sweep's folder in full: its pattern has the process in it, and workers are other processes."""
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")


def _share_path() -> None:
    """Let new processes find this package, installed or not."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in path:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, path)])


def _register(target: str) -> None:
    """Make a launcher of ours known, which needs a package that not everybody has."""
    module, name = target.rsplit(".", 1)
    if module.startswith("hydra_plugins._relrep_"):
        Plugins.instance().register(getattr(importlib.import_module(module), name))
