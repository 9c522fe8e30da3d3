"""The commits that runs have used, so that a default branch which has moved does not go unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

from relrep_exp.data.hub.problems import pin
from relrep_exp.data.hub.repo import Repo
from relrep_exp.store.files import write_atomic
from relrep_exp.store.once import key_lock

FILE = "revisions.json"


def note_commit(outputs: Path, repo: Repo, commit: str) -> str | None:
    """Remember which commit a run uses; a warning if runs of this folder have used another one before.

    A repository with a pinned revision cannot move, so it is not noted.

    Raises:
        UserError: the folder cannot be written.
    """
    path, name = outputs / FILE, f"{repo.kind} {repo.id}"
    if repo.revision is not None or _read(path).get(name) == commit:
        return None
    with key_lock(path):
        noted = _read(path)
        before = noted.get(name)
        write_atomic(path, json.dumps({**noted, name: commit}, indent=1, sort_keys=True).encode() + b"\n")
    if before is None or before == commit:
        return None
    return (
        f"{repo}: this run uses commit {commit}, earlier runs in {outputs} used {before};"
        f" their numbers may differ. To stay with the earlier one: {pin(repo, before)}"
    )


def _read(path: Path) -> dict[str, str]:
    """What is noted; nothing if the file is absent or not what we write."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}
