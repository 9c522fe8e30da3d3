"""The workflows call what anybody can call: the Makefile's targets, those of .ci/run among them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOBS = [
    (path.stem, name, job)
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text())["jobs"].items()
]
COMMANDS = [step["run"] for _, _, job in JOBS for step in job["steps"] if "run" in step]


def targets(command):
    """What a command makes; it may set variables of the Makefile besides."""
    make, *words = command.split()
    assert make == "make"
    return {word for word in words if "=" not in word}


def test_they_make_what_ci_makes_the_wheel_and_the_slow_tests():
    ci = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    made = set().union(*map(targets, ci))
    assert made == {"setup", "lint", "type", "test"}
    assert set().union(*map(targets, COMMANDS)) == made | {"wheel", "test-all"}


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_target_is_in_the_makefile(command):
    assert targets(command) <= set(
        re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize(
    ("path", "name", "job"), JOBS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_job_sets_up_first_and_ends(path, name, job):
    steps = [step for step in job["steps"] if "run" in step]
    assert targets(steps[0]["run"]) == {"setup"}
    assert job["timeout-minutes"] <= 60


def test_the_oldest_and_the_newest_python_are_tested():
    allowed = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    versions = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in allowed]
    [tested] = [job["strategy"]["matrix"]["python"] for _, name, job in JOBS if name == "test"]
    assert tested == [versions[0], versions[-1]] == ["3.11", "3.13"]
