"""One at a time, for threads as for processes, and a long wait is explained."""

import threading
import time

import pytest

from relrep_exp.errors import UserError
from relrep_exp.store import once
from relrep_exp.store.files import temp_beside
from relrep_exp.store.once import LockBusyError, key_lock, sweep_temps


def hold(path, held, release):
    with key_lock(path):
        held.set()
        release.wait(10)


@pytest.fixture
def holder(tmp_path):
    """A thread that holds the lock of tmp_path/k until it is told to let go."""
    held, release = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold, args=(tmp_path / "k", held, release))
    thread.start()
    assert held.wait(10)
    yield release
    release.set()
    thread.join()


def test_threads_enter_one_at_a_time(tmp_path):
    inside, most, entered = [], [], []

    def work():
        for _ in range(5):
            with key_lock(tmp_path / "k"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
                entered.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 20
    assert max(most) == 1


def test_who_does_not_wait_is_told(tmp_path, holder):
    with pytest.raises(LockBusyError, match=r"\.locks/k\.lock"), key_lock(tmp_path / "k", wait=False):
        pass


def test_a_long_wait_is_explained_in_one_line_and_ends(tmp_path, holder, monkeypatch, capsys):
    monkeypatch.setattr(once, "_PATIENCE_SECONDS", 0.1)
    threading.Timer(0.4, holder.set).start()
    with key_lock(tmp_path / "k"):
        assert holder.is_set()
    [line] = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "k") in line
    assert str(tmp_path / ".locks" / "k.lock") in line


def test_an_error_inside_frees_the_lock_and_is_not_translated(tmp_path):
    error = PermissionError(13, "of the computation")
    with pytest.raises(PermissionError) as caught, key_lock(tmp_path / "k"):
        raise error
    assert caught.value is error
    with key_lock(tmp_path / "k", wait=False):
        pass


def test_a_place_that_cannot_hold_locks_is_the_users_to_mend(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="a file is where a folder should be"),
        key_lock(tmp_path / "file" / "k"),
    ):
        pass


def test_a_sweep_takes_the_temps_of_that_name_and_nothing_else(tmp_path):
    mine, folder = temp_beside(tmp_path / "a"), temp_beside(tmp_path / "a")
    others = [temp_beside(tmp_path / name) for name in ("a.json", "aa", "b")]
    keep = [*others, tmp_path / "a", tmp_path / ".a.tmp", tmp_path / "a.corrupt-1"]
    for path in [mine, *keep]:
        path.write_text("x")
    (folder / "inside").mkdir(parents=True)
    sweep_temps(tmp_path, "a")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in keep}
    sweep_temps(tmp_path / "absent", "a")
