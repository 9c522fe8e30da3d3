"""Runs that fail and workers that are killed, under launchers that are processes of their own."""

import importlib.util
import os
import re
import signal

import pytest

from .conftest import made, wait_for_file, wait_for_state
from .light import DEFECT, DIES, EXITS, USERS_ERROR, WAITS_TO_BE_KILLED

WORKERS = {
    "joblib": "hydra.launcher.n_jobs=2",
    "submitit_local": "hydra.launcher.workers=2",
    "ray": "hydra.launcher.ray.init.num_cpus=2",
}
PACKAGES = {"joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}


def chosen(launcher):
    package = f"hydra_plugins.hydra_{PACKAGES[launcher]}_launcher"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    return f"hydra/launcher={launcher}", WORKERS[launcher]


def seeds_of(out):
    """The seeds of the runs that the sweep told to have a record."""
    return sorted(int(seed) for seed in re.findall(r"^#\d+ .*seed=(\d+)", out, re.M))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", WORKERS)
def test_a_worker_that_is_killed_is_noticed_and_its_run_made_again(started, light_words, outputs, launcher):
    process = started(*light_words, *chosen(launcher), f"seed={WAITS_TO_BE_KILLED},0,1,2")
    victim = wait_for_state(process, outputs, 0)
    wait_for_file(process, outputs / "again")  # it is at work, and has the lock of its record
    os.kill(victim["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "run 0 (" in err and "it runs again, alone" in err
    assert seeds_of(out) == [0, 1, 2, WAITS_TO_BE_KILLED]
    assert made(outputs).count(WAITS_TO_BE_KILLED) == 2
    assert len(list((outputs / "records").glob("*.json"))) == 4
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("launcher", WORKERS)
def test_what_dies_or_fails_every_time_is_told_and_stops_nobody(ended, light_words, outputs, launcher):
    fates = (DIES, USERS_ERROR, DEFECT, EXITS)
    done = ended(*light_words, *chosen(launcher), f"seed={','.join(map(str, fates))},0,1,2,3")
    assert done.returncode == 2, done.stderr
    assert seeds_of(done.stdout) == [0, 1, 2, 3]
    command = rf"python run.py task=precomputed_stitch zoo.path=\S+ .*seed={DIES}"
    assert re.search(rf"error: run 0 was lost twice.*: {command}\n +->", done.stderr)
    assert re.search(rf"error: run 1 \(.*seed={USERS_ERROR}\): too large\n +-> make it smaller", done.stderr)
    assert "RuntimeError: a defect of ours" in done.stderr and "SystemExit: 3" in done.stderr
    begun = made(outputs)
    assert begun.count(DIES) == 2
    assert all(begun.count(seed) == 1 for seed in fates[1:])
    if launcher == "joblib":
        assert "was lost twice (killed by SIGKILL)" in done.stderr
    assert "4 records in" in done.stdout.splitlines()[-1]
