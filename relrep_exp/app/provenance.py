"""Where a number comes from: code, versions, machine, time, and the command that makes it again."""

from __future__ import annotations

import logging
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.data import hub

if TYPE_CHECKING:
    from relrep_exp.app.request import Request
    from relrep_exp.training.device import Runtime

_LOG = logging.getLogger("relrep_exp")
PACKAGES = (
    "relrep_exp",
    "torch",
    "pytorch-lightning",
    "scikit-learn",
    "numpy",
    "timm",
    "transformers",
    "hydra-core",
)


def begin(runtime: Runtime, command: str) -> dict[str, Any]:
    """What is known when a run starts."""
    import torch

    cuda = runtime.device.type == "cuda"
    return {
        "command": command,
        "git": _git(),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": torch.cuda.get_device_name(runtime.device) if cuda else platform.machine(),
        "device_type": runtime.device.type,
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "started": now(),
    }


def revisions(request: Request) -> dict[str, str]:
    """Name the commit of everything that a run has from the hub; one that has moved since is told.

    Raises:
        UserError: the hub does not say.
    """
    found = {}
    for repo in request.repos:
        found[repo.id] = hub.commit(repo, request.config.runtime.offline)
        if moved := hub.note_commit(Path(request.config.paths.outputs), repo, found[repo.id]):
            _LOG.warning("%s", moved)
    return found


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git() -> dict[str, Any] | None:
    """Commit of the checkout that the code runs from, and whether it was changed; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _run_git(root, "rev-parse", "HEAD")
        changed = _run_git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changed)}


def _run_git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
