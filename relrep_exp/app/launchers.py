"""The launchers that a sweep can have: what they need, and how many workers they make."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from typing import Any

from relrep_exp.errors import Problem
from relrep_exp.training import threads

PLUGINS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "submitit_slurm": "hydra_submitit_launcher",
    "slurm": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
    "ray_aws": "hydra_ray_launcher",
}
_SLURM = ("sbatch", "srun")


def problems(name: str) -> list[Problem]:
    """What is missing here for a launcher to be used; nothing for one that is not ours."""
    plugin = PLUGINS.get(name)
    if plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None:
        single = plugin.replace("_", "-")
        remedy = f'pip install "relrep_exp[launchers]", or pip install {single} alone'
        return [Problem(f"hydra/launcher={name}: {single} is not installed", remedy)]
    absent = [command for command in _SLURM if name == "slurm" and shutil.which(command) is None]
    if absent:
        what = f"hydra/launcher={name}: there is no {' and no '.join(absent)} here"
        return [Problem(what, "start it on a machine of the cluster, or use hydra/launcher=submitit_local")]
    return []


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
