"""A folder appears whole and is replaced in one step."""

from pathlib import Path

import pytest

from relrep_exp.store import folders
from relrep_exp.store.folders import install_folder


def prepare(tmp_path, content):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "f").write_text(content)
    return prepared


@pytest.fixture(params=["exchange", "two renames"])
def way(request, tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    if request.param == "two renames":
        monkeypatch.setattr(folders, "_exchange", lambda *_names: False)
    elif not folders._exchange(one, other):
        pytest.skip("this file system cannot exchange two names")
    one.rmdir()
    other.rmdir()
    return request.param


def test_it_creates_and_replaces_and_leaves_nothing_else(tmp_path, way):
    for content in ("a", "b", "c"):
        install_folder(prepare(tmp_path, content), tmp_path / "k")
        assert (tmp_path / "k" / "f").read_text() == content
        assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_an_exchanged_folder_is_there_at_every_step(tmp_path, way, monkeypatch):
    folder, there = tmp_path / "k", []
    install_folder(prepare(tmp_path, "a"), folder)
    rename, remove = Path.rename, folders.remove_temp

    def logged(step):
        def run(*args):
            result = step(*args)
            there.append((folder / "f").exists())
            return result

        return run

    monkeypatch.setattr(Path, "rename", logged(rename))
    monkeypatch.setattr(folders, "remove_temp", logged(remove))
    install_folder(prepare(tmp_path, "b"), folder)
    assert there == ([True] if way == "exchange" else [False, True, True])


def test_a_name_that_cannot_be_exchanged_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        folders._exchange(tmp_path / "present", tmp_path / "absent")
