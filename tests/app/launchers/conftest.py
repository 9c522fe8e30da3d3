"""Sweeps under real launchers: their processes, what they made."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", "n_jobs"),
    "submitit_local": ("hydra_submitit_launcher", "workers"),
    "ray": ("hydra_ray_launcher", "ray.init.num_cpus"),
}


@pytest.fixture(scope="module")
def started(environment):
    """A function that starts a sweep of light runs; what is left of its processes ends with the test."""
    processes = []

    def start(*arguments, env=None, script=HERE / "light.py"):
        path = os.pathsep.join([environment["PYTHONPATH"], str(ROOT), str(HERE)])
        command = [sys.executable, str(script), "-m", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        variables = {**environment, "PYTHONPATH": path, **(env or {})}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=variables, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def ended(started):
    """A function that runs a sweep of light runs to its end."""

    def run(*arguments, **how):
        process = started(*arguments, **how)
        out, err = process.communicate(timeout=400)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


def light_words(file, outputs):
    """Overrides of a light run."""
    words = ("task=precomputed_stitch", f"zoo.path={file}", "logger=none", "anchors=random")
    return [*words, f"paths.outputs={outputs}"]


def required(launcher):
    """The overrides that choose a launcher with two workers; skips the test where it is not installed."""
    package, workers = LAUNCHERS[launcher]
    if importlib.util.find_spec(f"hydra_plugins.{package}") is None:
        pytest.skip(f"{package} is not installed")
    return f"hydra/launcher={launcher}", f"hydra.launcher.{workers}=2"


def wait_for_victim(process, outputs):
    """The process of the run that waits to be killed: it is at work and has the lock of its record."""
    wait_for_file(process, outputs, "again")
    return int((outputs / "again").read_text())


def wait_for_file(process, folder, pattern):
    """The first file of that pattern, once there is one; the process has to be at work still."""
    deadline = time.monotonic() + 100
    while not (found := list(folder.glob(pattern))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0]


def made(outputs):
    """The seeds of the runs that were begun to be computed, in order."""
    return sorted(int(line.split()[0]) for line in (outputs / "made.txt").read_text().splitlines())
