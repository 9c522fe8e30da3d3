"""The commits that runs have used: a branch that moved is said once, whoever notes at the same time."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from relrep_exp.data import hub
from relrep_exp.data.hub import Repo

COMMIT, MOVED = "1f" * 20, "2e" * 20
BERT = Repo("owner/bert", "model", key="zoo.encoders.de")


def test_commits_are_noted_and_a_change_is_said_once(tmp_path: Path) -> None:
    assert hub.note_commit(tmp_path, BERT, COMMIT) is None
    assert hub.note_commit(tmp_path, BERT, COMMIT) is None
    warning = hub.note_commit(tmp_path, BERT, MOVED)
    assert warning is not None
    assert COMMIT in warning
    assert MOVED in warning
    assert f"zoo.encoders.de.revision={COMMIT}" in warning
    assert hub.note_commit(tmp_path, BERT, MOVED) is None
    assert hub.note_commit(tmp_path, Repo("owner/bert", "model", COMMIT), COMMIT) is None, "pinned on purpose"
    assert json.loads((tmp_path / "revisions.json").read_text()) == {"model owner/bert": MOVED}
    (tmp_path / "revisions.json").write_text("{dama")
    assert hub.note_commit(tmp_path, BERT, COMMIT) is None


def note_many(outputs: Path, who: int) -> None:
    for number in range(20):
        hub.note_commit(outputs, Repo(f"owner/m{who}-{number}", "model"), COMMIT)


def test_two_processes_note_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=note_many, args=(tmp_path, who)) for who in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(json.loads((tmp_path / "revisions.json").read_text())) == 40
