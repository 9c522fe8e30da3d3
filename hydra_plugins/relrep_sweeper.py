"""The sweeper behind -m and experiment=NAME: the plan's runs through Hydra's launcher, then their table."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RunsSweeper(Sweeper):
    """Launches exactly the runs that were checked before Hydra started."""

    def __init__(self, params: Any = None):
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that the configuration names."""
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the plan that was made of the command line and leave with its exit code."""
        from relrep_exp.sweep import handed, run_all

        if code := run_all(handed(), lambda jobs: self.launcher.launch(jobs, initial_job_idx=0)):
            raise SystemExit(code)
