"""Keys and rows of whole runs, as they are meant to stay while the code is moved about.

    python tests/golden/make.py                # writes every tests/golden/*.json anew; two to five minutes
    python tests/golden/make.py slm autoencoders

To be run only on purpose: before a change that must not move a number, or after one that must, with a word
on why. Nothing of the package is imported here but the planner, in `plan`; the rest is the command line
and the records as JSON, so that this file outlives any move of modules.

Other versions of numpy, torch or scikit-learn may move numbers, too. So does another kind of processor, where
encoders are trained for long, which amplifies rounding (see `LONG`); the other cases differ by less than .001
when torch does without vector instructions.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DIGITS = ("vit", "resnet", "mlp", "gru")
SLMS = ("gpt2", "llama", "gemma3")

DEMO = ["experiment=demo", "seed=0"]
OWN = ["task=precomputed_stitch", "zoo.path={file}", "anchors.m=5", "decoder.epochs=1"]
AE = ["task=mnist_ae", "data=digits", "zoo.latent=6", "zoo.channels=[4]", "zoo.epochs=1", "zoo.least_steps=3"]
AE += ["decoder.channels=[4]", "decoder.epochs=1", "decoder.least_steps=3", "anchors.m=5"]
SLM = ["task=slm_retrieval", "zoo=slm_local", "data.train=60", "data.test=30", "anchors.m=8"]
TINY_LM = ("dim=16", "depth=1", "heads=2", "vocabulary=300", "sentences=200", "epochs=1")

# Case -> its command line. The encoders of demo_small are trained for one step: processors agree on them.
CASES = {
    "demo": DEMO,
    "demo_small": [
        *DEMO,
        *(f"zoo.encoders.{name}.{word}" for name in DIGITS for word in ("epochs=1", "batch=1437")),
        "anchors.m=16",
        "anchors.epochs=3",
    ],
    "own_param": [*OWN, "anchors=param", "sim=wip", "anchors.epochs=3"],
    "own_ortho": [*OWN, "anchors=random", "aligner=ortho"],
    "own_consensus": [*OWN, "aligner=consensus"],
    "autoencoders": [*AE, "anchors=random", "sim=wip"],
    "slm": [
        *SLM,
        "anchors=kmeans",
        "sim=wip",
        *(f"zoo.encoders.{name}.{word}" for name in SLMS for word in TINY_LM),
    ],
    "geometry": ["task=geometry", "task.test_encoders=[stretched,noisy]"],
}
SLOW = {"demo", "demo_small"}  # 75 and 12 s of a core, twice that on a busy one
# Encoders trained for hundreds of steps: on another kind of processor their numbers differ by more than
# `TOLERANCE` (without vector instructions R@1 moved by .061, F1 by .042), and the wider one holds there.
LONG = {"demo"}
TABLE1 = ["experiment=table1", "profile=local"]

TOLERANCE, ELSEWHERE = 0.005, 0.1
# Metrics without a bound, or that are small throughout: their tolerance is relative. Every other is absolute.
RELATIVE = {"rr_std", "effective_rank", "nmse", "psnr", "mse", "own_mse", "autoencoder_mse", "variance"}
EXACT = {"parallel_points"}  # counts


def words(case, folder):
    """The command line of a case that writes below `folder`."""
    file = folder / "own.safetensors"
    if case.startswith("own"):
        save_file(own_arrays(), file)
    fixed = ["logger=none", "runtime.device=cpu", "runtime.threads=1", f"paths.outputs={folder / 'outputs'}"]
    return [word.format(file=file) for word in CASES[case]] + fixed


def own_arrays():
    """Three encoders of 90 samples of three classes; made of integers: the same file everywhere."""
    draw = np.random.RandomState(0).randint  # its stream is frozen, that of default_rng is not
    labels = np.arange(90) % 3
    latent = 400 * np.eye(3, dtype=int)[labels] + draw(-150, 151, (90, 3))
    spaces = {
        name: ((latent @ draw(-20, 21, (3, d)) + draw(-400, 401, (90, d))) / 1024).astype(np.float32)
        for name, d in (("a", 6), ("b", 8), ("c", 10))
    }
    return {**spaces, "labels": labels, "is_train": np.arange(90) < 60}


def records(folder):
    """Key -> method and rows of every record below `folder`; a row is `source target method metric value`."""
    found = {}
    for path in sorted((folder / "outputs" / "records").glob("*.json")):
        record = json.loads(path.read_text())
        assert record["key"] == path.stem
        names = ("source", "target", "method", "metric")
        rows = [" ".join([*(row[name] for name in names), f"{row['value']:.7g}"]) for row in record["rows"]]
        found[record["key"]] = {"method": record["method"], "rows": sorted(rows)}
    return found


def plan(words):
    """The runs that words ask for, planned alone."""
    from relrep_exp.app.plan import make_plan  # the one import of the package in this folder

    return make_plan(words, sweep=False)


def keys(case, folder):
    """Key -> method of every run of a case."""
    return {run.key: run.label.split()[0] for run in plan(words(case, folder))}


def planned(folder):
    """Label -> key of every run of Table 1 in its local form."""
    runs = plan([*TABLE1, f"paths.outputs={folder / 'outputs'}"])
    keys = {run.label: run.key for run in runs}
    assert len(keys) == len(runs)
    return keys


def processor():
    """What kind it is, as far as numbers depend on it."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def golden(case):
    """What is held of a case."""
    return json.loads((HERE / f"{case}.json").read_text())


def make(case):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if case == "table1":
            made = {"keys": planned(folder)}
        else:
            command = [sys.executable, "run.py", *words(case, folder)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
            made = {"processor": processor(), "records": records(folder)}
    (HERE / f"{case}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # the package of this checkout
    for case in sys.argv[1:] or [*CASES, "table1"]:
        make(case)
        print(case)
