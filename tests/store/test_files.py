"""Files are whole or absent, and the errors that a user causes are said in the user's terms."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store import files
from relrep_exp.store.files import (
    install_folder,
    move_aside,
    require_writable,
    translated_oserrors,
    write_atomic,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield 0o027
    os.umask(old)


def test_it_creates_the_folder_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a" / "b" / "f.json"
    for data in (b"one", b"two, longer", b""):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert names(path.parent) == ["f.json"]


def test_the_mode_is_what_the_umask_says(tmp_path, umask):
    write_atomic(tmp_path / "f", b"x")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.EBADF, "broken"), SystemExit(1)], ids=repr
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_keeps_the_old_file_and_no_temp(tmp_path, monkeypatch, step, error):
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(type(error)) as caught:
        write_atomic(path, b"new")
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_returns(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def log_fsync(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def log_replace(self, target):
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(Path, "replace", log_replace)
    write_atomic(tmp_path / "f", b"x")
    assert steps == ["file", "rename", "folder"]


def test_a_file_where_a_folder_should_be_is_the_users_to_mend(tmp_path):
    (tmp_path / "outputs").write_text("")
    for path in (tmp_path / "outputs" / "f", tmp_path / "outputs" / "records" / "f"):
        with pytest.raises(UserError, match="a file is where a folder should be") as caught:
            write_atomic(path, b"x")
        assert "paths.outputs=DIR" in caught.value.problems[0].remedy
    assert len(require_writable(tmp_path / "outputs" / "records")) == 1


def test_a_folder_where_a_file_should_be_is_the_users_to_mend(tmp_path):
    (tmp_path / "f" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="a folder is where a file should be"):
        write_atomic(tmp_path / "f", b"x")
    assert names(tmp_path) == ["f"]


def test_a_file_over_the_size_limit_is_the_users_to_mend(tmp_path):
    write_atomic(tmp_path / "f", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match="exceed the size limit"):
            write_atomic(tmp_path / "f", bytes(5000))
        [problem] = require_writable(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "ulimit -f" in problem.remedy
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    "code",
    [
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EFBIG,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    ],
)
def test_what_a_user_causes_becomes_a_user_error_with_path_and_remedy(tmp_path, code):
    with pytest.raises(UserError) as caught, translated_oserrors(tmp_path / "x"):
        raise OSError(code, "system words")
    [problem] = caught.value.problems
    assert str(tmp_path / "x") in problem.what
    assert "paths.outputs=DIR" in problem.remedy
    assert caught.value.__cause__.errno == code


@pytest.mark.parametrize(
    "error", [OSError(errno.EBADF, "io"), FileNotFoundError(2, "x"), ValueError()], ids=repr
)
def test_other_errors_pass_unchanged(tmp_path, error):
    with pytest.raises(type(error)) as caught, translated_oserrors(tmp_path):
        raise error
    assert caught.value is error


def test_moving_aside_never_overwrites(tmp_path):
    (tmp_path / "f.corrupt-2").mkdir()
    moved = []
    for content in ("a", "b", "c"):
        (tmp_path / "f").write_text(content)
        moved.append(move_aside(tmp_path / "f"))
    assert [path.name for path in moved] == ["f.corrupt-1", "f.corrupt-3", "f.corrupt-4"]
    assert [path.read_text() for path in moved] == ["a", "b", "c"]
    assert not (tmp_path / "f").exists()


def test_a_writable_folder_is_created_and_left_empty(tmp_path):
    assert require_writable(tmp_path / "a" / "b") == []
    assert names(tmp_path / "a" / "b") == []


def prepare(tmp_path, content):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "f").write_text(content)
    return prepared


def test_a_folder_is_whole_or_missing_at_every_step_of_its_replacement(tmp_path, monkeypatch):
    folder, there = tmp_path / "k", []
    install_folder(prepare(tmp_path, "a"), folder)
    rename, remove = Path.rename, files.remove_temp

    def logged(step):
        def run(*args):
            result = step(*args)
            there.append((folder / "f").exists())
            return result

        return run

    monkeypatch.setattr(Path, "rename", logged(rename))
    monkeypatch.setattr(files, "remove_temp", logged(remove))
    install_folder(prepare(tmp_path, "b"), folder)
    assert there == [False, True, True]
