"""What tests of whole runs share: a small file of embeddings, and the command line, as a process or not."""

import gc
import importlib.util
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from warm import Warm

ROOT = Path(__file__).resolve().parents[1]
TRAIN, ROWS = 60, 90
NO_NETWORK = ROOT / "tests" / "no_network"

_spec = importlib.util.spec_from_file_location("no_network", NO_NETWORK / "sitecustomize.py")
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))  # blocks it from here on
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

# Processes that tests start are forked from one server, so that importing all this is paid once.
_PRELOAD = (
    "pytest",
    "sklearn.linear_model",
    "relrep_exp.app.run",
    "relrep_exp.encoders.predict",
    "relrep_exp.tasks.measure",
)
multiprocessing.set_forkserver_preload(list(_PRELOAD))


def pytest_collection_finish():
    gc.freeze()  # no search for garbage goes through all that 6,000 modules hold


@pytest.fixture(scope="session")
def arrays():
    """Three encoders of the same 90 samples of three classes, 60 of them for training."""
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS) % 3
    latent = 3.0 * np.eye(3)[labels] + rng.normal(size=(ROWS, 3))
    spaces = {
        name: (latent @ rng.normal(size=(3, d)) + 0.1 * rng.normal(size=(ROWS, d))).astype(np.float32)
        for name, d in (("a", 6), ("b", 8), ("c", 10))
    }
    return {**spaces, "labels": labels, "is_train": np.arange(ROWS) < TRAIN}


@pytest.fixture(scope="session")
def file(arrays, tmp_path_factory):
    """The embeddings as an .npz."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def outputs(tmp_path):
    """Where runs of one test write."""
    return tmp_path / "outputs"


@pytest.fixture
def words(file, outputs):
    """Overrides for a run of a second; anchors=param needs anchors.epochs=3 besides."""
    return words_for(file, outputs)


def words_for(path, outputs):
    return [
        "task=precomputed_stitch",
        f"zoo.path={path}",
        "anchors.m=5",
        "decoder.epochs=1",
        "logger=none",
        f"paths.outputs={outputs}",
    ]


@pytest.fixture(scope="session")
def tiny_words():
    """The overrides of `words` for a file and an outputs folder of one's own."""
    return words_for


@pytest.fixture(scope="session")
def environment():
    """Of a run in a process of its own: no W&B settings of the caller, one thread, no network."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "PYTHON"))}
    return {**env, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(NO_NETWORK)}


@pytest.fixture(scope="session")
def start(environment):
    """A function that starts `python run.py ...` and returns the process, forked from one that is warm.

    With `cold`, variables or options for Python, it is one of its own. It says no more than it has to (-q),
    so that a test sees whether anything was complained of.
    """

    def popen(*arguments, env=None, python=(), cold=False):
        if not (env or python or cold):
            return Warm(["run.py", "-q", *arguments], environment)
        command = [sys.executable, *python, "run.py", "-q", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env={**environment, **(env or {})}, **pipes)

    return popen


@pytest.fixture(scope="session")
def python_run(start):
    """A function that runs `python run.py ...` to its end."""

    def run(*arguments, **how):
        process = start(*arguments, **how)
        try:
            out, err = process.communicate(timeout=120)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


@pytest.fixture
def config_of(words):
    """A function from more overrides to the typed configuration."""
    from relrep_exp.app.plan import make_plan

    return lambda *more: make_plan([*words, *more], sweep=False)[0].config


@pytest.fixture
def run(config_of, tmp_path):
    """A function that runs more overrides in this process."""
    from relrep_exp.app.request import Request
    from relrep_exp.app.run import run as make_record

    return lambda *more: make_record(Request(config_of(*more)), "python run.py", tmp_path / "run")


@pytest.fixture
def small(tiny_words, file, outputs):
    """As `words`, but with any decoder."""
    return [word for word in tiny_words(file, outputs) if not word.startswith("decoder.")]


@pytest.fixture
def any_run(small, tmp_path):
    """A function that runs `small` and more in this process, by default with a logistic regression."""

    from relrep_exp.app.plan import make_plan
    from relrep_exp.app.run import run as make_record

    def make(*more):
        decoder = [] if any(word.startswith("decoder=") for word in more) else ["decoder=linear"]
        [asked] = make_plan([*small, *decoder, *more], sweep=False)
        return make_record(asked.request, asked.command, tmp_path / "run")

    return make


@pytest.fixture
def record(outputs):
    """A function that reads the one record of a test's outputs."""
    from relrep_exp.store.records import RecordStore

    def read():
        [path] = (outputs / "records").glob("*.json")
        return RecordStore(outputs / "records").find(path.stem)

    return read


@pytest.fixture
def told(capsys):
    """A function that runs a command line: its exit code, what it printed and what it complained of."""

    from relrep_exp.app import cli

    def run(*given):
        code = cli.main(["-q", *map(str, given)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def processes():
    """Where tests start processes, and make what these share."""
    return multiprocessing.get_context("forkserver")


@pytest.fixture
def spawn(processes):
    """A function that starts target(*args) in a process of its own; none is left behind."""
    children = []

    def start(target, *args):
        children.append(processes.Process(target=target, args=args))
        children[-1].start()
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.join(10)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of a quarter MiB of its own, which a test may fill or make read-only."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.splitlines()[0]}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def as_another_user(tmp_path):
    """A function that asks in a process without root's right to read everything: what a user is told."""

    def ask(function, *args):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        for folder in (tmp_path, *tmp_path.parents):
            if os.geteuid() == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
        child = multiprocessing.get_context("fork").Process(target=_asked, args=(sender, function, args))
        child.start()
        child.join(20)
        return receiver.recv() if receiver.poll() else f"no answer, exit code {child.exitcode}"

    return ask


def _asked(sender, function, args):
    from relrep_exp.errors import UserError

    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        sender.send(f"no error: {function(*args)!r}")
    except UserError as error:
        sender.send(str(error))
    except BaseException as error:
        sender.send(f"{type(error).__name__}: {error}")
