"""Ray's launcher, which hears of every task how it ended, and not of the first that was lost alone.

Hydra does not look into this file, as it needs the launcher that it extends: the sweeper registers it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra_plugins.hydra_ray_launcher import ray_launcher
from omegaconf import DictConfig, OmegaConf, open_dict

# What only the one who starts a Ray may say; a cluster that runs has its own.
_OWN = ("num_cpus", "object_store_memory", "include_dashboard")


class RayLauncher(ray_launcher.RayLauncher):
    """Tasks on this machine, or on the cluster that `ray.init.address` names."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand Ray the jobs and wait for all of them; Ctrl-C ends those that are left."""
        _keep_to_itself(self.ray_cfg.init.address)
        import ray
        from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray

        assert self.hydra_context is not None and self.task_function is not None
        setup_globals()
        start_ray(self._init())
        state = Singleton.get_state()
        try:
            tasks = [
                launch_job_on_ray(self.hydra_context, self.ray_cfg.remote, config, self.task_function, state)
                for config in self._configs(job_overrides, initial_job_idx)
            ]
            return [_result(task) for task in tasks]
        except BaseException:
            ray.shutdown()
            raise

    def _init(self) -> DictConfig:
        """What `ray.init` takes; less for a cluster that runs."""
        init = OmegaConf.to_container(self.ray_cfg.init, resolve=True)
        assert isinstance(init, dict)
        joins = init["address"] is not None
        taken = {key: value for key, value in init.items() if not (joins and key in _OWN)}
        # Without an address Ray would join whatever cluster it finds, as RAY_ADDRESS or on this machine.
        return OmegaConf.create({**taken, "address": init["address"] if joins else "local"})

    def _configs(self, job_overrides: Sequence[Sequence[str]], first: int) -> Iterator[DictConfig]:
        """The configuration of every job."""
        assert self.config is not None and self.hydra_context is not None
        for number, overrides in enumerate(job_overrides, first):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = f"job_id_for_{number}"
                config.hydra.job.num = number
            yield config


def _keep_to_itself(address: str | None) -> None:
    """Have Ray, not yet imported, send nothing home, and one of our own listen on this machine alone."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # what makes it choose the loopback


def _result(task: Any) -> JobReturn:
    """What a task returned, or how it was lost."""
    import ray

    try:
        result: JobReturn = ray.get(task)
    except ray.exceptions.RayError as error:
        result = JobReturn(status=JobStatus.FAILED, _return_value=error)
    return result
