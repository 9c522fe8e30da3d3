"""Whole sweeps under every launcher on this machine: the same numbers, the same table, nothing made twice.

The two runs of the sweep share their encoders, trained on the spot, the embeddings, and what PARAM learned.
"""

import json
from collections import Counter

import pytest

from .conftest import LAUNCHERS, ROOT, required

PLUGIN = "tests/launchers/counting.py"
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
    # A fit in progress writes its .ckpt again and again.
    kept = [line for line in lines if not line[1].endswith(".ckpt")]
    return Counter((kind, name) for kind, name, _ in kept), {process for *_, process in kept}


@pytest.fixture(scope="module")
def basic(ended, tmp_path_factory):
    """The sweep, one run after another."""
    folder = tmp_path_factory.mktemp("basic")
    done = sweep(ended, folder)
    assert done.returncode == 0, done.stderr
    return done, rows(folder), stored(folder)[0]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_changes_neither_numbers_nor_table_and_computes_nothing_twice(
    ended, basic, launcher, tmp_path
):
    done = sweep(ended, tmp_path, *required(launcher))
    assert done.returncode == 0, done.stderr
    expected, numbers, counted = basic
    assert rows(tmp_path) == numbers and len(numbers) == 2
    assert table(done) == table(expected)
    times, processes = stored(tmp_path)
    assert times == counted and set(times.values()) == {1}
    kinds = Counter(kind for kind, _ in times)
    assert kinds["records"] == 2 and kinds["checkpoints"] == 4 and kinds["embeddings"] == 2
    assert len(processes) == 2
    assert len(list(tmp_path.glob("runs/*/*/[01]/curves.csv"))) == 2
