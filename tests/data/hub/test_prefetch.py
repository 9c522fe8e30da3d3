"""scripts/prefetch.py: the list first, then the files; what cannot be had is told with its remedy."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, FakeRepo

from relrep_exp.app.plan import make_plan
from relrep_exp.data.hub import Repo, Status, prefetch
from relrep_exp.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
TASK = "task=cifar_stitch"
WEIGHTS = bytes(2_000_000)


@pytest.fixture
def running() -> Iterator[FakeHub]:
    """A hub that has what the task needs, in small, next to what nobody needs."""
    (run,) = make_plan([TASK], False)
    content = {
        "model": {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": WEIGHTS},
        "dataset": {"c/train-00000-of-00001.parquet": b"a", "c/test-00000-of-00001.parquet": b"b"},
    }
    repos = {
        f"{repo.kind}s/{repo.id}": FakeRepo(dict(content[repo.kind]), repo.revision or COMMIT)
        for repo in run.request.wanted
    }
    with FakeHub(repos) as hub:
        yield hub


def run_prefetch(
    home: Path, url: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))
    }
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": url, "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, str(ROOT / "scripts" / "prefetch.py"), *arguments]
    environment = {**clean, **settings, **environment}
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)


def test_it_lists_then_downloads_then_all_is_here(running: FakeHub, tmp_path: Path) -> None:
    listed = run_prefetch(tmp_path, running.url, TASK, "--dry-run")
    assert (listed.returncode, running.downloads()) == (0, [])
    models = len(running.repos) - 1
    for name, repo in running.repos.items():
        line = next(line for line in listed.stdout.splitlines() if name.split("/", 1)[1] in line)
        assert repo.commit[:12] in line
    assert f"{models * 2 / 1000:.3f} GB" in listed.stdout
    assert "free:" in listed.stdout

    done = run_prefetch(tmp_path, running.url, "-m", TASK, "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("total") < done.stdout.index("downloading")
    assert f"complete: {models + 1} of {models + 1}, {models * 2 / 1000:.3f} GB" in done.stdout
    assert "pytorch_model.bin" not in running.downloads()

    running.stop()
    again = run_prefetch(tmp_path, running.url, TASK, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert "downloading" not in again.stdout


def test_what_cannot_be_had_is_told_and_the_rest_comes(running: FakeHub, tmp_path: Path) -> None:
    gated, gone = [name for name in running.repos if name.startswith("models/")][:2]
    running.repos[gated].gated = True
    del running.repos[gone]
    done = run_prefetch(tmp_path, running.url, TASK, HF_TOKEN="hf_aWrongSecret")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 2
    assert f"{gated.split('/', 1)[1]} " in done.stderr
    assert "hf auth login" in done.stderr
    assert f"there is no model {gone.split('/', 1)[1]}" in done.stderr
    assert "aWrongSecret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert f"complete: {len(running.repos) - 1} of {len(running.repos) + 1}" in done.stdout


def test_nothing_needed_and_nothing_understood(capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / "prefetch.py"))["main"]
    assert main(["experiment=demo"]) == 0
    assert "nothing of the hub is needed for experiment=demo" in capsys.readouterr().out
    assert main(["task=cifar_stich"]) == 2
    assert "cifar_stitch" in capsys.readouterr().err


def test_a_small_disk_is_told_before_anything_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    big = Repo("owner/big", "model", key="zoo.encoders.big")
    monkeypatch.setattr(prefetch, "survey", lambda *_, **__: {big: Status(COMMIT, 0, 3_000_000_000)})
    monkeypatch.setattr(prefetch, "free_bytes", lambda _: 2_000_000_000)
    monkeypatch.setattr(prefetch, "snapshot", lambda *_, **__: pytest.fail("it began to download"))
    with pytest.raises(UserError, match=r"3\.000 GB .* room for 2\.000 GB\n.*HF_HOME"):
        prefetch.prefetch([big], offline=False, dry_run=False)
    assert "owner/big" in capsys.readouterr().out
    prefetch.prefetch([big], offline=False, dry_run=True)
