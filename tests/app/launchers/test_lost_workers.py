"""Runs that fail and workers that are killed, under launchers whose workers are processes of their own.

One sweep a launcher: a run whose worker is killed from outside, one that kills its worker every time, a
user's error, a defect, and runs that have nothing wrong with them.
"""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from relrep_exp.training.threads import cores

from .conftest import ROOT, light_words, made, required, wait_for_file, wait_for_victim
from .light import DEFECT, DIES, EXITS, USERS_ERROR, WAITS_TO_BE_KILLED

FATES = (WAITS_TO_BE_KILLED, DIES, USERS_ERROR, DEFECT)
FINE = (0, 1)

pytestmark = pytest.mark.slow


@dataclass
class Swept:
    launcher: str
    outputs: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module", params=["joblib"])  # test_slurm.py loses a job of submitit
def swept(request, started, file, tmp_path_factory):
    """The sweep, in which a worker was killed in the midst of its run."""
    outputs = tmp_path_factory.mktemp(request.param)
    seeds = ",".join(map(str, (*FATES, *FINE)))
    words = (*light_words(file, outputs), *required(request.param), f"seed={seeds}")
    process = started(*words, env={"OMP_NUM_THREADS": ""})
    os.kill(wait_for_victim(process, outputs), signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    return Swept(request.param, outputs, process.returncode, out, err)


def test_a_run_whose_worker_was_killed_is_made_again_and_so_are_those_that_were_lost_with_it(swept):
    assert re.search(rf"run 0 \(.*seed={WAITS_TO_BE_KILLED}\) was lost.*; it runs again, alone", swept.err)
    assert re.search(rf"^#0 .*seed={WAITS_TO_BE_KILLED}", swept.out, re.M)
    assert made(swept.outputs).count(WAITS_TO_BE_KILLED) == 2


def test_what_dies_every_time_is_told_with_its_command(swept):
    death = r" \(killed by SIGKILL\)" if swept.launcher == "joblib" else r" \(\w+: .+\)"
    command = rf"python run.py task=precomputed_stitch zoo.path=\S+ .*seed={DIES}"
    assert re.search(rf"error: run 1 was lost twice{death}: {command}\n +-> run it by itself", swept.err)
    assert made(swept.outputs).count(DIES) == 2
    assert f"seed={DIES}" not in swept.out


def test_what_fails_is_told_and_not_tried_again(swept):
    assert re.search(rf"error: run 2 \(.*seed={USERS_ERROR}\): too large\n +-> make it smaller", swept.err)
    assert swept.err.count("RuntimeError: a defect of ours") == 1
    assert swept.err.count("too large") == 1
    assert made(swept.outputs).count(USERS_ERROR) <= 2  # it may have been at work when another's worker died


def test_the_others_finish_and_none_is_computed_twice(swept):
    assert swept.code == 1  # a dead worker and a defect, beside a user's error, which alone would be 2
    told = sorted(int(seed) for seed in re.findall(r"^#\d+ .*seed=(\d+)", swept.out, re.M))
    assert told == sorted([*FINE, WAITS_TO_BE_KILLED])
    assert len(list((swept.outputs / "records").glob("*.json"))) == 3
    assert "3 records in" in swept.out.splitlines()[-1]
    assert all(made(swept.outputs).count(seed) <= 2 for seed in FINE)


def test_workers_share_the_cores_and_the_folder(swept):
    lines = [line.split(maxsplit=2)[1:] for line in (swept.outputs / "made.txt").read_text().splitlines()]
    assert {tuple(line) for line in lines} == {(str(max(1, cores() // 2)), str(ROOT))}


def test_the_same_command_reads_what_is_there_without_a_worker(swept, ended, file):
    seeds = f"seed={','.join(map(str, (WAITS_TO_BE_KILLED, *FINE)))}"
    before = made(swept.outputs)
    done = ended(*light_words(file, swept.outputs), *required(swept.launcher), seeds)
    assert done.returncode == 0 and not done.stderr
    assert len(re.findall(r"^#\d .* cached$", done.stdout, re.M)) == 3
    assert made(swept.outputs) == before
    assert len(list((swept.outputs / "runs").glob("*/*"))) == 1


@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_a_worker_that_dies_is_noticed_and_its_run_repeated_once(ended, file, outputs, launcher):
    done = ended(*light_words(file, outputs), *required(launcher), f"seed={DIES},0")
    assert done.returncode == 1
    assert f"seed={DIES}) was lost (" in done.stderr and "it runs again, alone" in done.stderr
    assert "error: run 0 was lost twice (" in done.stderr and "-> run it by itself" in done.stderr
    assert made(outputs) == [0, DIES, DIES] and "1 records in" in done.stdout  # Ray may say more behind it


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(started, file, outputs, launcher):
    seeds = f"seed=0,{WAITS_TO_BE_KILLED}"
    process = started(*light_words(file, outputs), *required(launcher), seeds)
    victim = wait_for_victim(process, outputs)
    wait_for_file(process, outputs, "records/*.json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted: 1 of 2 runs are finished and kept; the same command goes on" in err
    assert "1 records in" in out.splitlines()[-1]
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)


def test_a_plugins_exit_ends_its_run_alone(ended, file, outputs):
    done = ended(*light_words(file, outputs), f"seed={EXITS},0")
    assert done.returncode == 1
    assert "SystemExit: 3" in done.stderr
    assert "1 records in" in done.stdout.splitlines()[-1]
