"""What README.md tells a reader to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from warm import Warm

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["anchors.m=8", "logger=none", "decoder.epochs=1"]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def bash_lines() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    process = Warm(command, {**os.environ, "OMP_NUM_THREADS": "1"}, folder)
    try:
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README makes."""
    path = tmp_path_factory.mktemp("readme")
    make_file, use_space, use_files, translate, consensus, methods, plot = python_blocks()
    (path / "make_file.py").write_text(make_file)
    (path / "use_space.py").write_text(use_space + use_files + translate + consensus)
    (path / "my_methods.py").write_text(methods)
    (path / "plot.py").write_text(plot)
    made = run("make_file.py", folder=path)
    assert made.returncode == 0, made.stderr
    return path


def test_the_python_example_aligns_two_feature_sets(folder: Path) -> None:
    check = "\nassert from_a.shape == from_b.shape == ((~train).sum(), 64)"
    check += "\nassert np.load('relative.npy').shape == (train.sum(), 64)"
    check += "\ncosine = torch.nn.functional.cosine_similarity(from_a, from_b).mean()\nprint(float(cosine))"
    (folder / "checked.py").write_text((folder / "use_space.py").read_text() + check)
    done = run("checked.py", folder=folder)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0.8
    assert (folder / "space.safetensors").exists() and (folder / "consensus.safetensors").exists()


def test_the_command_for_own_embeddings_and_a_plot_of_what_it_leaves(folder: Path) -> None:
    command = next(line for line in bash_lines() if line.startswith("python run.py task=precomputed"))
    done = run(str(ROOT / "run.py"), *command.split()[2:], *SMALL, "anchors.epochs=5", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("record: outputs/records/")
    done = run("plot.py", folder=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "f1.png").stat().st_size > 5000


def test_the_plugin_is_used_under_its_names(folder: Path) -> None:
    own = ["task=precomputed_stitch", "zoo.path=mine.npz", "plugins=[my_methods.py]", *SMALL]
    done = run(str(ROOT / "run.py"), "-m", *own, "anchors=random,pairs", "sim=wip,tanh_wip", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "4 records" in done.stdout
    assert "pairs-tanh_wip" in done.stdout


def commands(of_experiments: bool) -> dict[str, list[str]]:
    """Lines that call run.py, with their words; those with my_methods are run whole above."""
    lines = {line for line in bash_lines() if line.startswith("python run.py") and "my_methods" not in line}
    return {
        line: [word for word in line.split()[2:] if word != "plan" and not word.startswith("-")]
        for line in lines
        if (" experiment=" in line) is of_experiments
    }


def test_every_command_makes_runs() -> None:
    from relrep_exp.app.plan import make_plan

    for line, words in commands(of_experiments=False).items():
        assert make_plan(words, sweep=" -m " in line), words


def test_every_experiment_that_is_named_exists() -> None:
    for words in commands(of_experiments=True).values():
        for name in words[0].removeprefix("experiment=").split(","):
            assert (ROOT / "conf" / "experiment" / f"{name}.yaml").exists(), name


@pytest.mark.slow
def test_every_command_of_an_experiment_names_choices_that_exist() -> None:
    from relrep_exp.app.plan import check_names

    for words in commands(of_experiments=True).values():
        check_names([word.replace("=all", "=demo") for word in words])
