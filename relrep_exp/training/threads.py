"""Count the cores, and those that a worker may use."""

from __future__ import annotations

import os

from omegaconf import OmegaConf

# Read by OpenMP, MKL, OpenBLAS and the others when they are loaded, so set before that.
POOLS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
_AT_FIRST = {pool: os.environ[pool] for pool in POOLS if pool in os.environ}


def cores() -> int:
    """Count the cores that this process may use: fewer than the machine's under an affinity mask or quota."""
    from joblib import cpu_count

    return int(cpu_count())


def share(workers: int) -> int:
    """Share the cores of this machine among workers; 0, no say, where the environment has one."""
    return 0 if given() else max(1, cores() // max(1, workers))


def given() -> int:
    """Read OMP_NUM_THREADS; 0 where the environment says nothing."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() else 0


def of_slurm() -> int:
    """Read how many cores Slurm gave this task; 0 outside of Slurm, or where the job did not ask for some."""
    asked = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(asked) if asked.isdigit() else 0


def limit(threads: int) -> None:
    """Keep this process and its children to so many threads; 0 gives back what the process started with.

    What is loaded already reads none of this: `Runtime.of` sets torch and the pools that are open.
    """
    for pool in POOLS:
        if threads or pool in _AT_FIRST:
            os.environ[pool] = str(threads) if threads else _AT_FIRST[pool]
        else:
            os.environ.pop(pool, None)


OmegaConf.register_new_resolver("cores", cores, replace=True)
