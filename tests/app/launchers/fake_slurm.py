#!/usr/bin/env python
"""What submitit needs of Slurm, on this machine: sbatch, srun, sacct and scancel, by the name it is called.

Submitted scripts really run, in the background; FAKE_SLURM is a folder that holds the state of every job.
"""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

FOLDER = Path(os.environ["FAKE_SLURM"])


def sbatch(script):
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(.+)$", Path(script).read_text(), re.M))
    number = len(list(FOLDER.glob("*.script"))) + 1
    (FOLDER / f"{number}.script").write_text(Path(script).read_text())
    first, last, at_once = re.fullmatch(r"(\d+)-(\d+)%(\d+)", options.get("array", "0-0%1")).groups()
    names = [f"{number}_{n}" if "array" in options else f"{number}" for n in range(int(first), int(last) + 1)]
    for name in names:
        (FOLDER / f"{name}.state").write_text("PENDING")
    cpus = options.get("cpus-per-task", "")
    command = [sys.executable, __file__, "controller", f"{number}", at_once, cpus, *names]
    subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"Submitted batch job {number}")


def controller(number, at_once, cpus, *names):
    with ThreadPoolExecutor(int(at_once)) as pool:
        list(pool.map(lambda name: batch(number, cpus, name), names))


def batch(number, cpus, name):
    _, _, task = name.partition("_")
    env = {**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    env |= {"SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": "here"}
    env |= {"SLURM_CPUS_PER_TASK": cpus} if cpus else {}
    env |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": task} if task else {}
    state = FOLDER / f"{name}.state"
    if state.read_text() != "CANCELLED":
        process = subprocess.Popen(["bash", FOLDER / f"{number}.script"], env=env, start_new_session=True)
        state.write_text(f"RUNNING {process.pid}")
        state.write_text("FAILED" if process.wait() else "COMPLETED")


def srun(*words):
    named = dict(pairwise(words))
    command = words[next(n for n, word in enumerate(words) if word == sys.executable) :]
    with filled(named["--output"]).open("w") as out, filled(named["--error"]).open("w") as err:
        sys.exit(subprocess.call(command, stdout=out, stderr=err) and 1)


def filled(pattern):
    values = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID"}
    for sign, variable in values.items():
        pattern = pattern.replace(sign, os.environ.get(variable, ""))
    return Path(pattern.replace("%t", "0"))


def sacct(*words):
    print("JobID|State|NodeList")
    for file in sorted(FOLDER.glob("*.state")):
        print(f"{file.stem}|{file.read_text().split()[0]}|here")


def scancel(name):
    state = FOLDER / f"{name}.state"
    status, *process = state.read_text().split()
    if process:
        os.killpg(int(process[0]), signal.SIGTERM)
    elif status == "PENDING":
        state.write_text("CANCELLED")


if __name__ == "__main__":
    called, words = Path(sys.argv[0]).name, sys.argv[1:]
    if words[0] == "controller":
        controller(*words[1:])
    else:
        {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel}[called](*words)
