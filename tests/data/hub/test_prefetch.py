"""scripts/prefetch.py: the list first, then the files; what cannot be had is told with its remedy."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, FakeRepo, Serve

from relrep_exp.app.plan import make_plan
from relrep_exp.data.hub import Repo, Status, prefetch
from relrep_exp.errors import UserError

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "prefetch.py"
TASK = "task=cifar_stitch"
WEIGHTS = bytes(2_000_000)

Prefetch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def running(serve: Serve) -> FakeHub:
    """A hub that has what the task needs, in small, next to what nobody needs."""
    content = {
        "model": {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": WEIGHTS},
        "dataset": {"c/train-00000-of-00001.parquet": b"a", "c/test-00000-of-00001.parquet": b"b"},
    }
    hub = serve()
    for repo in make_plan([TASK], False)[0].request.wanted:
        hub.repos[f"{repo.kind}s/{repo.id}"] = FakeRepo(dict(content[repo.kind]), repo.revision or COMMIT)
    return hub


@pytest.fixture
def fetched(capsys: pytest.CaptureFixture[str]) -> Prefetch:
    """A function that runs the script: its exit code, what it printed and what it complained of."""
    main = runpy.run_path(str(SCRIPT))["main"]

    def run(*arguments: str) -> tuple[int, str, str]:
        return main(list(arguments)), *capsys.readouterr()

    return run


def test_it_lists_then_downloads_then_all_is_here(
    running: FakeHub, fetched: Prefetch, tmp_path: Path
) -> None:
    code, listed, _ = fetched(TASK, "--dry-run")
    assert (code, running.downloads()) == (0, [])
    models = len(running.repos) - 1
    for name, repo in running.repos.items():
        line = next(line for line in listed.splitlines() if name.split("/", 1)[1] in line)
        assert repo.commit[:12] in line
    assert f"{models * 2 / 1000:.3f} GB" in listed
    assert "free:" in listed

    code, done, told = fetched("-m", TASK, "seed=0,1")
    assert code == 0, told
    assert done.index("total") < done.index("downloading")
    assert f"complete: {models + 1} of {models + 1}, {models * 2 / 1000:.3f} GB" in done
    assert "pytorch_model.bin" not in running.downloads()

    running.stop()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    settings = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), TASK]
    again = subprocess.run(command, env={**clean, **settings}, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "downloading" not in again.stdout


def test_what_cannot_be_had_is_told_and_the_rest_comes(
    running: FakeHub, fetched: Prefetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated, gone = [name for name in running.repos if name.startswith("models/")][:2]
    running.repos[gated].gated = True
    del running.repos[gone]
    monkeypatch.setenv("HF_TOKEN", "hf_aWrongSecret")
    code, done, told = fetched(TASK)
    assert code == 2
    assert told.count("error: ") == 2
    assert f"{gated.split('/', 1)[1]} " in told
    assert "hf auth login" in told
    assert f"there is no model {gone.split('/', 1)[1]}" in told
    assert "aWrongSecret" not in told + done
    assert f"complete: {len(running.repos) - 1} of {len(running.repos) + 1}" in done


def test_nothing_needed_and_nothing_understood(fetched: Prefetch) -> None:
    assert fetched("task=digits_stitch")[:2] == (0, "nothing of the hub is needed for task=digits_stitch\n")
    code, _, told = fetched("task=cifar_stich")
    assert code == 2
    assert "cifar_stitch" in told


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
