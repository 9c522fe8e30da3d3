"""`python SCRIPT ...` as a process forked from one that has imported torch and Lightning: seconds less."""

import multiprocessing as mp
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Warm:
    """What tests use of a `subprocess.Popen`; the output is there when the process has ended."""

    def __init__(self, arguments, environment, cwd=ROOT):
        self._folder = tempfile.TemporaryDirectory()
        given = ([str(word) for word in arguments], environment, cwd, self._folder.name)
        self._process = mp.get_context("forkserver").Process(target=_run, args=given)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout=None):
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("a warm process", timeout)
        return tuple(Path(self._folder.name, name).read_text() for name in ("out", "err"))


def _run(arguments, environment, cwd, folder):
    """In the new process: as if Python had been started with this command line."""
    for fd, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(folder, name), os.O_CREAT | os.O_WRONLY), fd)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # the server may have been started while a fit had its own
    runpy.run_path(str(ROOT / "tests" / "no_network" / "sitecustomize.py"))
    os.chdir(cwd)
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")
