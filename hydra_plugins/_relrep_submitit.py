"""submitit's launchers, which hear of every job how it ended, and not of the first that was lost alone.

Hydra does not look into this file, as it needs the launcher that it extends: the sweeper registers it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

_POLL_SECONDS = 0.1
_CANCEL_SECONDS = 10.0
_SHARED = ("nodes", "tasks_per_node", "timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "name")


class _Submitit(submitit_launcher.BaseSubmititLauncher):  # type: ignore[misc]  # the base has no types
    """What both have in common."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs and wait for all of them; Ctrl-C cancels those that are left."""
        calls = [
            (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        jobs: list[submitit.Job[JobReturn]] = []
        try:
            for some in self._submitted(calls):
                jobs += some
            return [_result(job) for job in jobs]
        except BaseException:
            _cancel(jobs)
            raise

    def _submitted(self, calls: list[tuple[Any, ...]]) -> Iterator[list[submitit.Job[JobReturn]]]:
        """The jobs, as they are submitted."""
        raise NotImplementedError

    def _executor(self, **made: Any) -> submitit.AutoExecutor:
        """An executor with the parameters of the configuration."""
        executor = submitit.AutoExecutor(self.params["submitit_folder"], cluster=self._EXECUTOR, **made)
        own = ("submitit_folder", "workers", "poll_seconds", "max_num_timeout")
        parameters = {name: value for name, value in self.params.items() if name not in own}
        executor.update_parameters(
            **{n if n in _SHARED else f"{self._EXECUTOR}_{n}": value for n, value in parameters.items()}
        )
        return executor


class LocalLauncher(_Submitit):
    """Processes on this machine, so many at once: submitit itself would start all of them."""

    _EXECUTOR = "local"

    def _submitted(self, calls: list[tuple[Any, ...]]) -> Iterator[list[submitit.Job[JobReturn]]]:
        workers = int(self.params["workers"])
        if workers < 1:
            raise ValueError(f"hydra.launcher.workers={workers}: there must be one at least")
        executor, busy = self._executor(), list[submitit.Job[JobReturn]]()
        for call in calls:
            while len(busy := [job for job in busy if not job.done()]) >= workers:
                time.sleep(_POLL_SECONDS)
            busy.append(executor.submit(self, *call))
            yield busy[-1:]


class SlurmLauncher(_Submitit):
    """One job array."""

    _EXECUTOR = "slurm"

    def _submitted(self, calls: list[tuple[Any, ...]]) -> Iterator[list[submitit.Job[JobReturn]]]:
        SlurmJob.watcher = SlurmInfoWatcher(delay_s=int(self.params["poll_seconds"]))
        executor = self._executor(slurm_max_num_timeout=self.params["max_num_timeout"])
        yield executor.map_array(self, *zip(*calls, strict=True))


def _result(job: submitit.Job[JobReturn]) -> JobReturn:
    """What a job returned, or how it was lost."""
    try:
        result: JobReturn = job.results()[0]
    except (FailedJobError, UncompletedJobError) as error:
        result = JobReturn(status=JobStatus.FAILED, _return_value=error)
    return result


def _cancel(jobs: Sequence[submitit.Job[JobReturn]]) -> None:
    """End what still runs, and wait for it for a while."""
    left = [job for job in jobs if not job.done()]
    for job in left:
        job.cancel(check=False)
    deadline = time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < deadline and not all(job.done() for job in left):
        time.sleep(_POLL_SECONDS)
