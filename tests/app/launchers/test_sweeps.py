"""Whole sweeps under every launcher on this machine: the same numbers, the same table, nothing made twice.

The two runs of the sweep share their encoders, trained on the spot, the embeddings, and what PARAM learned.
Two workers make them under joblib; the others, of which each process costs seconds, make one of them anew.
"""

import json
import shutil
from collections import Counter

import pytest

from .conftest import ROOT, required

PLUGIN = "tests/app/launchers/counting.py"
WORDS = (
    "task=digits_stitch",
    f"plugins=[{PLUGIN}]",
    "sim=tanh_wip",
    "anchors=param",
    "anchors.m=8",
    "anchors.epochs=1",
    "aligner.support=100",
    "~zoo.encoders.vit",
    "~zoo.encoders.resnet",
    "zoo.encoders.mlp.epochs=1",
    "zoo.encoders.gru.epochs=1",
    "decoder=linear,svm",
    "logger=csv",
)


def sweep(ended, folder, *words):
    """A sweep in an outputs folder of its own, where what it stores is noted."""
    folder.mkdir(exist_ok=True)
    env = {"COUNTED": str(folder / "counted.txt")}
    return ended(*WORDS, f"paths.outputs={folder}", *words, env=env, script=ROOT / "run.py")


def rows(folder):
    """The numbers of each record, by key."""
    found = (json.loads(path.read_text()) for path in (folder / "records").glob("*.json"))
    return {record["key"]: record["rows"] for record in found}


def table(done):
    """What the sweep prints behind the lines of its runs, less the time."""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return lines[: next(n for n, line in enumerate(lines) if " records in " in line)]


def stored(folder):
    """How often each entry of the stores was put there, and by how many processes."""
    lines = [line.split() for line in (folder / "counted.txt").read_text().splitlines()]
    # A fit in progress writes its .ckpt again and again; what an entry may replace is moved to a .tmp.
    kept = [line for line in lines if not line[1].endswith((".ckpt", ".tmp"))]
    return Counter((kind, name) for kind, name, _ in kept), {process for *_, process in kept}


@pytest.fixture(scope="module")
def basic(ended, tmp_path_factory):
    """The sweep, one run after another, and its folder."""
    folder = tmp_path_factory.mktemp("basic")
    done = sweep(ended, folder)
    assert done.returncode == 0, done.stderr
    return done, folder


@pytest.mark.slow
def test_two_workers_get_the_same_numbers_and_compute_nothing_twice(ended, basic, tmp_path):
    done = sweep(ended, tmp_path, *required("joblib"))
    assert done.returncode == 0, done.stderr
    expected, folder = basic
    assert rows(tmp_path) == rows(folder) and len(rows(folder)) == 2
    assert table(done) == table(expected)
    times, processes = stored(tmp_path)
    assert times == stored(folder)[0] and set(times.values()) == {1}
    assert Counter(kind for kind, _ in times) == {"records": 2, "checkpoints": 4, "embeddings": 2}
    assert len(processes) == 2
    assert len(list(tmp_path.glob("runs/*/*/[01]/table.csv"))) == 2


@pytest.mark.slow
@pytest.mark.timeout(480)  # Ray starts a dozen processes
@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_what_is_missing_of_a_sweep_can_be_made_under_another_launcher(ended, basic, launcher, tmp_path):
    expected, folder = basic
    shutil.copytree(folder / "records", tmp_path / "records")
    missing = sorted((tmp_path / "records").glob("*.json"))[0]
    missing.unlink()
    done = sweep(ended, tmp_path, *required(launcher))
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path) == rows(folder)
    assert table(done) == table(expected)
    assert stored(tmp_path)[0]["records", missing.name] == 1
    assert Counter(kind for kind, _ in stored(tmp_path)[0])["records"] == 1
