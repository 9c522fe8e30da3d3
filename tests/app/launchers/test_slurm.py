"""The slurm preset through submitit to sbatch, on a Slurm of a few lines that runs what is submitted."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from .conftest import light_words, made, wait_for_victim
from .light import USERS_ERROR, WAITS_TO_BE_KILLED

pytest.importorskip("submitit", reason="the launchers extra is not installed")
COMMANDS = ("sbatch", "srun", "sacct", "scancel")
SLURM = ("hydra/launcher=slurm", "hydra.launcher.array_parallelism=2", "hydra.launcher.cpus_per_task=3")


@pytest.fixture
def slurm(tmp_path):
    """The environment of a machine with Slurm."""
    bin_, state = tmp_path / "bin", tmp_path / "slurm"
    bin_.mkdir()
    state.mkdir()
    text = (Path(__file__).parent / "fake_slurm.py").read_text()
    for name in COMMANDS:
        (bin_ / name).write_text(text.replace("#!/usr/bin/env python", f"#!{sys.executable}", 1))
        (bin_ / name).chmod(stat.S_IRWXU)
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return {"PATH": f"{bin_}{os.pathsep}{env['PATH']}", "FAKE_SLURM": str(state)}


@pytest.mark.slow
def test_a_sweep_is_a_job_array_and_a_lost_job_is_submitted_again(started, file, outputs, slurm):
    seeds = f"seed={WAITS_TO_BE_KILLED},{USERS_ERROR},0,1"
    process = started(*light_words(file, outputs), *SLURM, "hydra.launcher.partition=cpu", seeds, env=slurm)
    os.kill(wait_for_victim(process, outputs), signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 2, err
    assert f"seed={USERS_ERROR}): too large" in err
    assert "run 0 (" in err and "it runs again, alone" in err
    assert "3 records in" in out.splitlines()[-1]
    assert made(outputs) == [0, 1, WAITS_TO_BE_KILLED, WAITS_TO_BE_KILLED, USERS_ERROR]
    array, alone = ((Path(slurm["FAKE_SLURM"]) / f"{number}.script").read_text() for number in (1, 2))
    assert "#SBATCH --array=0-3%2" in array and "#SBATCH --partition=cpu" in array
    assert "--array" not in alone
    threads = {line.split()[1] for line in (outputs / "made.txt").read_text().splitlines()}
    assert threads == {"3"}
