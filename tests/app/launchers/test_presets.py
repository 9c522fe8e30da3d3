"""The launchers that can be chosen: composed from our files, and told where a package is missing."""

import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from relrep_exp.app.launch import threads_of
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import LAUNCHERS
from relrep_exp.app.worker import Worker
from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.store.files import CONF
from relrep_exp.training import threads
from relrep_exp.training.device import Runtime

PRESETS = sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))


@pytest.fixture
def hydra_in():
    """A function that has Hydra compose over a folder; what is stored in this process comes back."""
    stored = ConfigStore.instance().repo["hydra"].setdefault("launcher", {})
    before = dict(stored)

    def start(folder):
        GlobalHydra.instance().clear()
        return initialize_config_dir(str(folder), version_base="1.3")

    yield start
    GlobalHydra.instance().clear()
    stored.clear()
    stored.update(before)


@pytest.mark.parametrize("name", PRESETS)
def test_our_file_wins_over_what_the_launchers_package_stores(hydra_in, name, recwarn):
    ConfigStore.instance().store(group="hydra/launcher", name=name, node={"_target_": "theirs", "theirs": 1})
    with hydra_in(CONF):
        composed = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True).hydra.launcher
    assert "theirs" not in composed and composed["_target_"] != "theirs"
    assert not [one for one in recwarn if "validated against" in str(one.message)]


def test_other_applications_keep_what_is_stored(hydra_in, tmp_path):
    (tmp_path / "config.yaml").write_text("x: 1\n")
    ConfigStore.instance().store(group="hydra/launcher", name="joblib", node={"_target_": "theirs"})
    with hydra_in(tmp_path):
        composed = compose("config", ["hydra/launcher=joblib"], return_hydra_config=True)
    assert composed.hydra.launcher["_target_"] == "theirs"


@pytest.mark.parametrize("name", ["joblib", "submitit_local", "ray"])
def test_a_launcher_that_is_not_installed_is_told_with_what_installs_it(
    told, words, outputs, monkeypatch, name
):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda module: None if module.endswith("_launcher") else found(module)
    )
    code, _, err = told(*words, "-m", "seed=0,1", f"hydra/launcher={name}")
    package = LAUNCHERS[name].replace("_", "-")
    assert code == 2 and f"error: hydra/launcher={name}: {package} is not installed" in err
    assert f'pip install "relrep_exp[launchers]", or pip install {package} alone' in err
    assert not (outputs / "runs").exists()


def test_without_slurm_and_with_a_launcher_that_is_none_of_ours(told, words, outputs, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = told(*words, "-m", "seed=0,1", "hydra/launcher=slurm")
    assert code == 2 and not (outputs / "runs").exists()
    assert re.search(r"error: hydra/launcher=slurm: there is no sbatch and no srun here\n +->", err)
    make_plan(words, sweep=False)[0].request.require(launcher="somebody_elses")  # needs nothing


@pytest.mark.parametrize(
    ("target", "keys", "workers"),
    [
        ("JoblibLauncher", {"n_jobs": 2}, 2),
        ("JoblibLauncher", {"n_jobs": -1}, None),
        ("LocalLauncher", {"workers": 3}, 3),
        ("RayLauncher", {"ray": {"init": {"address": None, "num_cpus": 4}, "remote": {"num_cpus": 2}}}, 2),
    ],
)
def test_workers_of_one_machine_share_its_cores(monkeypatch, target, keys, workers):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launcher = {"_target_": f"somewhere.{target}", **keys}
    assert threads_of(launcher) == max(1, threads.cores() // (workers or threads.cores()))
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_of(launcher) == 0


def test_clusters_and_one_process_have_a_say_of_their_own(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ray = {"init": {"address": "auto", "num_cpus": 4}, "remote": {"num_cpus": 1}}
    assert threads_of({"_target_": "a.RayLauncher", "ray": ray}) == 0
    assert threads_of({"_target_": "a.SlurmLauncher"}) == threads_of({"_target_": "a.BasicLauncher"}) == 0


@pytest.fixture
def own_threads(monkeypatch):
    """Puts back the threads of this process and what the environment says of them."""
    before = torch.get_num_threads()
    for name in threads.POOLS:
        monkeypatch.setenv(name, "")
    yield
    torch.set_num_threads(before)


def test_torch_keeps_to_the_share_unless_a_run_says_otherwise(own_threads, monkeypatch, tmp_path):
    counts = []

    def job(composed):
        Runtime.of(RuntimeConfig(device="cpu", threads=composed.runtime.threads))
        counts.append((torch.get_num_threads(), {os.environ[name] for name in threads.POOLS}))

    settings = OmegaConf.create({"runtime": {"output_dir": str(tmp_path)}, "job": {"name": "0" * 24}})
    monkeypatch.setattr("relrep_exp.app.worker.HydraConfig.get", lambda: settings)
    monkeypatch.setattr(threads, "_AT_FIRST", dict.fromkeys(threads.POOLS, "4"))
    for share, asked in ((3, 0), (3, 2), (0, 0)):
        composed = {"runtime": {"threads": asked}, "paths": {"outputs": str(tmp_path)}}
        Worker(job, "", Path.cwd(), share)(OmegaConf.create(composed))
    assert counts == [(3, {"3"}), (2, {"2"}), (4, {"4"})]  # the last one has what the worker started with


@pytest.mark.parametrize(("said", "count"), [("4", 4), ("4,2", 4), ("", 0), ("many", 0)])
def test_what_the_environment_says(monkeypatch, said, count):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert threads.given() == count
    assert threads.of_slurm() == (count if "," not in said else 0)
