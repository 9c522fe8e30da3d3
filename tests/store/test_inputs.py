"""Files that are only read: what keeps us from it is told, and no change of a file goes unseen."""

import errno
import hashlib
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store import inputs
from relrep_exp.store.inputs import expanded, input_digest, is_file, is_folder, reading
from relrep_exp.store.keys import file_digest


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def counted(monkeypatch):
    """The files that were hashed; the time of a change of an inode, which nobody can set, is long ago."""
    read = []
    monkeypatch.setattr(inputs, "file_digest", lambda path: read.append(path) or file_digest(path))
    monkeypatch.setattr(inputs, "_SETTLED_NS", 0)
    return read


@pytest.fixture
def within():
    """Fail, rather than wait for ever, where a pipe is opened."""

    def stop(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_an_input_is_read_again_only_when_it_has_changed(tmp_path, counted):
    path = tmp_path / "f"
    path.write_bytes(b"one")
    time.sleep(0.02)
    assert input_digest(path) == input_digest(str(path)) == sha(b"one")
    assert len(counted) == 1
    path.write_bytes(b"three")
    assert input_digest(path) == sha(b"three")


def in_place(path, data):
    path.write_bytes(data)


def replaced(path, data):
    other = path.with_name("other")
    other.write_bytes(data)
    other.replace(path)


def through_a_link(path, data):
    target = path.with_name("target-2")
    target.write_bytes(data)
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("change", [in_place, replaced, through_a_link])
def test_a_change_that_keeps_size_and_time_is_seen(tmp_path, counted, change):
    path = tmp_path / "f"
    path.write_bytes(b"one")
    before = path.stat()
    time.sleep(0.02)
    assert input_digest(path) == sha(b"one")
    change(path, b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert input_digest(path) == sha(b"two")


def test_a_change_within_one_tick_of_the_file_systems_clock_is_seen(tmp_path):
    path = tmp_path / "f"
    for number in range(200):
        path.write_bytes(b"%03d" % number)
        assert input_digest(path) == sha(b"%03d" % number)


CODES = ["EACCES", "EPERM", "ELOOP", "ENAMETOOLONG", "EIO", "ESTALE", "EMFILE", "ENOTDIR", "EISDIR", "EBADF"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("step", ["stat", "open"])
def test_whatever_the_system_says_is_told_with_the_name_and_a_remedy(tmp_path, monkeypatch, code, step):
    path = tmp_path / "f"
    path.write_bytes(b"x")

    def fail(self, *_args, **_kwargs):
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(UserError) as caught:
        input_digest(path)
    [problem] = caught.value.problems
    assert str(path) in problem.what and "cannot be read" in problem.what
    assert problem.remedy


def test_the_name_is_the_systems_own_or_else_the_one_that_was_asked_for(tmp_path):
    for error, name in ((OSError(5, "broken", "/deep/file"), "/deep/file"), (OSError(5, "broken"), "mine")):
        with pytest.raises(UserError, match=f"{name} cannot be read: broken"), reading("mine"):
            raise error
    with pytest.raises(ValueError, match="other"), reading("mine"):
        raise ValueError("other")


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def unix_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


@pytest.mark.parametrize("make", [pipe, device, unix_socket])
def test_what_would_be_waited_for_or_read_for_ever_is_refused(tmp_path, within, make):
    folder = tmp_path if len(str(tmp_path)) < 80 else Path("/tmp")
    path = folder / f"odd-{os.getpid()}"
    make(path)
    try:
        for ask in (input_digest, is_file):
            with pytest.raises(UserError, match=r"is a (named pipe|device|socket), not a file"):
                ask(path)
    finally:
        path.unlink()


def test_a_folder_and_nothing_are_no_files(tmp_path):
    assert not is_file(tmp_path) and not is_file(tmp_path / "none") and not is_file(tmp_path / "no" / "ne")
    assert is_folder(tmp_path) and not is_folder(tmp_path / "none")
    with pytest.raises(UserError, match=r"it is a folder|Is a directory"):
        input_digest(tmp_path)
    with pytest.raises(UserError, match="none cannot be read: No such file"):
        input_digest(tmp_path / "none")


def test_real_loops_and_long_names(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("x" * 300), Path("/" + "x/" * 3000)):
        for ask in (input_digest, is_file):
            with pytest.raises(UserError, match="cannot be read"):
                ask(path)


def test_homes(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    with pytest.raises(UserError, match="write the whole path"):
        expanded("~nobody-of-this-name/x")


def test_a_file_that_may_not_be_read(tmp_path, as_another_user):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    path.chmod(0)
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    for ask, where in ((input_digest, path), (is_file, folder / "f"), (is_folder, folder / "f" / "g")):
        said = as_another_user(ask, where)
        assert f"{where} cannot be read: Permission denied" in said and "chmod u+rX" in said
    shutil.rmtree(folder)
