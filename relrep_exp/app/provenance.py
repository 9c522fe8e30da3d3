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
    """Tell what is known when a run starts."""
    import torch

    cuda = runtime.device.type == "cuda"
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": command,
        "git": _git(),
        "versions": versions,
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
    """Tell the time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> dict[str, Any] | None:
    """Name the commit of the checkout that this runs from, and whether it was changed; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    found = []
    for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        command = ["git", "-C", str(root), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return None
        found.append(done.stdout.strip())
    return {"commit": found[0], "changed": bool(found[1])}
