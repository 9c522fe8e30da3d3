"""What is installed is whole: the wheel, the pinned versions, and the Makefile that installs them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("relrep_exp", "hydra_plugins")
TARGETS = {
    "help",
    "setup",
    "run",
    "test",
    "test-all",
    "lint",
    "type",
    "wheel",
    "report",
    "clean",
    "clean-outputs",
}


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs `command` in `cwd`, where the environment gives no way back to the checkout."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env["PYTHONNOUSERSITE"] = "1"
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=200)
    if check and done.returncode:
        pytest.fail(f"{command} exited {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_env(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment's bin/: the wheel, and this environment's packages less the checkout.

    This environment's site-packages are one line of a .pth file; .pth files in there, such as the one
    of an editable install, are then not read.
    """
    env = tmp_path_factory.mktemp("clean") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", env, cwd=env.parent)
    python = env / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", wheel, cwd=env.parent)
    [site] = env.glob("lib/python*/site-packages")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")
    return env / "bin"


def project_files(folder: str) -> Iterator[str]:
    """Paths below the root of all files of `folder`, less what Python or an editor leaves there."""
    for path in sorted((ROOT / folder).rglob("*")):
        below = path.relative_to(ROOT)
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in below.parts):
            yield below.as_posix()


def imported(source: str) -> set[str]:
    """The top-level names of the absolute imports anywhere in `source`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_wheel_holds_every_file_of_the_package_and_of_conf(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    conf = [f"relrep_exp/{name}" for name in project_files("conf")]
    code = [name for package in PACKAGES for name in project_files(package)]
    assert "relrep_exp/conf/config.yaml" in conf
    assert "relrep_exp/app/cli.py" in code
    assert not {*conf, *code} - held


def test_the_wheel_installs_nothing_beside_the_packages(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def unprovided(names: set[str], offered: set[str]) -> set[str]:
    """The imported names that none of some distributions provides."""
    providers = packages_distributions()
    found = {name: map(canonicalize_name, providers.get(name, [name])) for name in names}
    return {name for name, distributions in found.items() if offered.isdisjoint(distributions)}


def test_the_wheel_asks_for_every_distribution_that_is_imported(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    lines = message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", [])
    asked = [Requirement(line) for line in lines]
    always = {canonicalize_name(one.name) for one in asked if "extra" not in str(one.marker)}
    launchers = {canonicalize_name(one.name) for one in asked if 'extra == "launchers"' in str(one.marker)}
    for optional, offered in ((False, always), (True, always | launchers)):
        sources = [
            archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith(".py") and name.startswith("hydra_plugins/_") == optional
        ]
        names = set().union(*map(imported, sources)) - sys.stdlib_module_names - set(PACKAGES)
        assert names > ({"submitit", "ray"} if optional else {"torch", "omegaconf"})
        assert not unprovided(names, offered)


@pytest.mark.slow
def test_the_wheel_runs_from_another_folder_without_the_checkout(clean_env: Path, tmp_path: Path) -> None:
    where = run(clean_env / "python", "-c", "import relrep_exp as r; print(r.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(clean_env.parent)
    assert "digits_stitch" in run(clean_env / "relrep", "--help", cwd=tmp_path).stdout
    assert "RunsSweeper" in run(clean_env / "relrep", "--info", "plugins", cwd=tmp_path).stdout
    shown = run(clean_env / "relrep", "task=digits_stitch", "seed=7", "--cfg", "job", cwd=tmp_path).stdout
    settings = "from relrep_exp import ParamSettings; print(ParamSettings(epochs=3))"
    assert "temperature=2.9, epochs=3" in run(clean_env / "python", "-c", settings, cwd=tmp_path).stdout
    assert "seed: 7" in shown
    assert "digits_stitch" in shown


def pyproject_requirements() -> list[Requirement]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [content["project"]["dependencies"], *content["project"]["optional-dependencies"].values()]
    lines = [line for group in [*groups, content["build-system"]["requires"]] for line in group]
    return [Requirement(line) for line in lines if not line.startswith("relrep_exp[")]


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_line_of_the_constraints_is_one_exact_version_and_no_place() -> None:
    lines = pin_lines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    names = [canonicalize_name(line.partition("==")[0]) for line in lines]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("requirement", pyproject_requirements(), ids=str)
def test_what_pyproject_asks_for_is_pinned_to_a_version_that_it_accepts(requirement: Requirement) -> None:
    pins = {canonicalize_name(name): version for name, _, version in (p.partition("==") for p in pin_lines())}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_help_lists_every_target_and_make_alone_shows_it() -> None:
    shown = run("make", "help", cwd=ROOT).stdout
    assert set(re.findall(r"^  make ([a-z-]+) {2,}\S", shown, flags=re.MULTILINE)) == TARGETS
    assert run("make", cwd=ROOT).stdout == shown
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert declared and set(declared[1].split()) == TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_of_the_makefile_can_be_made(target: str, tmp_path: Path) -> None:
    assert run("make", "--dry-run", target, f"VENV={tmp_path}", cwd=ROOT).stdout


def test_clean_keeps_results_and_clean_outputs_keeps_the_readme(tmp_path: Path) -> None:
    cache, record, readme = ".mypy_cache/a", "outputs/records/b.json", "outputs/README.md"
    for name in (cache, "tests/__pycache__/c.pyc", record, readme):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for package in (*PACKAGES, "scripts"):
        (tmp_path / package).mkdir()
    makefile = f"--makefile={ROOT / 'Makefile'}"

    run("make", makefile, "clean", cwd=tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {
        record,
        readme,
    }
    run("make", makefile, "clean-outputs", cwd=tmp_path)
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["README.md"]


def fake_python(folder: Path, install: str) -> Path:
    """A `python` that makes environments with itself inside, and whose `-m pip` is the command `install`."""
    python = folder / "fake-python"
    python.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"-m pip install "*) echo "$@" >> "{folder}/installs"; {install};;\n'
        '"-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python";; esac\n'
    )
    python.chmod(0o755)
    return python


def test_setup_installs_once_and_again_after_a_failure(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    setup = ("make", "setup", f"VENV={venv}")
    failed = run(*setup, f"PYTHON={fake_python(tmp_path, 'exit 1')}", cwd=ROOT, check=False)
    assert failed.returncode
    assert venv.is_dir()
    assert not (venv / ".stamp").exists()

    fake_python(tmp_path, "exit 0").replace(venv / "bin" / "python")
    for _ in range(2):
        run(*setup, cwd=ROOT)
    installs = (tmp_path / "installs").read_text().splitlines()
    assert installs == 2 * ["-m pip install --quiet --disable-pip-version-check -e .[dev] -c constraints.txt"]


def test_setup_installs_again_when_the_pins_change(tmp_path: Path) -> None:
    setup = ("make", "setup", f"VENV={tmp_path / 'venv'}", f"PYTHON={fake_python(tmp_path, 'exit 0')}")
    run(*setup, cwd=ROOT)
    run(*setup, "--what-if=constraints.txt", cwd=ROOT)
    assert len((tmp_path / "installs").read_text().splitlines()) == 2


def test_setup_makes_a_half_made_environment_anew(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    run("make", "setup", f"VENV={venv}", f"PYTHON={fake_python(tmp_path, 'exit 0')}", cwd=ROOT)
    assert (venv / "bin" / "python").read_text() == (tmp_path / "fake-python").read_text()
    assert (venv / ".stamp").exists()


def test_setup_says_what_to_do_when_no_python_will_do(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    failed = run("make", "setup", f"VENV={venv}", "PYTHON=no-such-python", cwd=ROOT, check=False)
    assert failed.returncode == 2
    assert "3.11, 3.12 or 3.13" in failed.stderr and "make setup PYTHON=" in failed.stderr
    assert not venv.exists()
