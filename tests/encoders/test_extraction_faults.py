"""Extraction under real faults: killed processes, damaged files, a full disk, racing processes, Ctrl-C."""

import multiprocessing as mp
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.errors import UserError
from relrep_exp.store.keys import content_key

KEY = content_key({"model": "toy"})
ROWS, SHARD, BATCH = 60, 8, 3


class Logging(Encoder):
    """Writes down every row that it embeds, and takes its time."""

    def __init__(self, log, seconds=0.0, dim=2):
        super().__init__()
        self.log, self.seconds, self.dim = log, seconds, dim

    def prepare(self, samples):
        (self.log.parent / f"prepared-{os.getpid()}").touch()
        return torch.tensor(samples)

    def forward(self, inputs):
        time.sleep(self.seconds)
        with self.log.open("a") as stream:
            stream.write("".join(f"{row}\n" for row in inputs.tolist()))
        return inputs[:, None] + torch.arange(self.dim) / 10


def run(root, seconds=0.0, dim=2, encoder=None, **how):
    """Embeddings of the numbers 0 .. 59, 8 in a shard."""
    settings = Extraction(torch.device("cpu"), **{"batch": BATCH, "shard": SHARD, **how})
    encoder = encoder or Logging(root / "log", seconds, dim)
    return extract(KEY, "toy", list(range(ROWS)), lambda: encoder, {}, root / "outputs", settings).x


def run_in_child(root, seconds, how=None, barrier=None):
    mp.set_start_method("fork", force=True)  # of workers, as in a user's process: a server would take seconds
    if barrier is not None:
        barrier.wait()
    x = run(Path(root), seconds, **(how or {}))
    torch.save(x, Path(root) / f"saw-{os.getpid()}.pt")


def run_until_ctrl_c(root, seconds):
    mp.set_start_method("fork", force=True)
    try:
        run(Path(root), seconds, workers=1)
    except KeyboardInterrupt:
        os._exit(130)


def is_right(x):
    return torch.equal(x, torch.arange(ROWS)[:, None] + torch.arange(x.shape[1]) / 10)


def embedded(root):
    """row -> how often it went through the encoder."""
    log = root / "log"
    return Counter(map(int, log.read_text().split())) if log.exists() else Counter()


def parts(root):
    return root / "outputs" / "embeddings" / f"{KEY}.parts"


def entry(root):
    return root / "outputs" / "embeddings" / KEY


def finished_shards(root):
    return len(list(parts(root).glob("*.json")))


def preparing(root):
    """The processes that prepared samples and have not ended; nobody may have heard of their end yet."""
    stats = [Path("/proc", path.name.removeprefix("prepared-"), "stat") for path in root.glob("prepared-*")]
    return [
        stat for stat in stats if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    ]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def stopped(root, after, **how):
    """A run that ends, as by Ctrl-C, when so many shards are finished."""

    class Stopping(Logging):
        def forward(self, inputs):
            if finished_shards(root) == after:
                raise KeyboardInterrupt
            return super().forward(inputs)

    with pytest.raises(KeyboardInterrupt):
        run(root, encoder=Stopping(root / "log"), **how)
    (root / "log").unlink()


@pytest.mark.slow
def test_killed_processes_lose_a_shard_each_and_no_more(tmp_path, spawn):
    kill, end = signal.SIGKILL, signal.SIGTERM
    kills = [(0, kill), (2, end), (5, kill)]  # when so many shards are finished
    for shards, number in kills:
        child = spawn(run_in_child, str(tmp_path), 0.03)
        wait_for(lambda shards=shards: finished_shards(tmp_path) >= shards and embedded(tmp_path))
        os.kill(child.pid, number)
        child.join(10)
        assert child.exitcode == -number
        assert not entry(tmp_path).exists()
    assert is_right(run(tmp_path))
    times = embedded(tmp_path)
    assert set(times) == set(range(ROWS))
    # A kill may also fall between the last batch of a shard and the end of its writing.
    assert ROWS <= times.total() <= ROWS + len(kills) * SHARD
    assert not parts(tmp_path).exists()


@pytest.mark.slow
def test_a_process_killed_with_its_workers_is_resumed(tmp_path, spawn):
    child = spawn(run_in_child, str(tmp_path), 0.03, {"workers": 2})
    wait_for(lambda: finished_shards(tmp_path) >= 2)
    assert len(preparing(tmp_path)) == 2
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)
    wait_for(lambda: not preparing(tmp_path), 20)  # its workers, too
    before = embedded(tmp_path).total()
    assert is_right(run(tmp_path))
    assert embedded(tmp_path).total() <= ROWS + SHARD
    assert before >= 2 * SHARD


@pytest.mark.slow
def test_ctrl_c_keeps_finished_shards_and_says_nothing_of_its_own(tmp_path, spawn, capfd):
    child = spawn(run_until_ctrl_c, str(tmp_path), 0.03)
    wait_for(lambda: finished_shards(tmp_path) >= 2)
    os.kill(child.pid, signal.SIGINT)
    child.join(30)
    assert child.exitcode == 130
    assert 2 <= finished_shards(tmp_path) < 8
    assert "Traceback" not in capfd.readouterr().err
    assert is_right(run(tmp_path))
    assert embedded(tmp_path).total() <= ROWS + SHARD


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def test_a_truncated_shard_of_a_stopped_process_is_computed_again_alone(tmp_path):
    stopped(tmp_path, after=3)
    truncate(parts(tmp_path) / "00001.safetensors")
    assert is_right(run(tmp_path))
    assert set(range(8, 16)) <= set(embedded(tmp_path))
    assert embedded(tmp_path).total() == ROWS - 2 * SHARD


def test_a_truncated_shard_of_an_entry_is_noticed_and_all_is_made_anew(tmp_path):
    run(tmp_path)
    truncate(entry(tmp_path) / "00001.safetensors")
    assert is_right(run(tmp_path))
    assert set(embedded(tmp_path).values()) == {2}
    assert entry(tmp_path).with_name(f"{KEY}.corrupt-1").exists()


def test_parts_cut_otherwise_are_not_used(tmp_path):
    stopped(tmp_path, after=2, shard=6)
    assert is_right(run(tmp_path))
    assert set(embedded(tmp_path).values()) == {1}
    assert len(list(entry(tmp_path).iterdir())) == 9


def test_a_full_disk_keeps_finished_shards_and_the_same_call_goes_on(small_disk):
    dim = 1200  # 8 rows of it are 38 kB of the quarter MiB
    with pytest.raises(UserError, match="the disk is full") as caught:
        run(small_disk, dim=dim)
    assert "free space" in caught.value.problems[0].remedy
    kept = finished_shards(small_disk)
    assert 1 <= kept < 8
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    (small_disk / "log").unlink(missing_ok=True)
    assert is_right(run(small_disk, dim=dim))
    assert embedded(small_disk).total() == ROWS - kept * SHARD


def test_processes_that_ask_for_one_key_embed_each_row_once(tmp_path, processes, spawn):
    barrier = processes.Barrier(2)
    children = [spawn(run_in_child, str(tmp_path), 0.01, None, barrier) for _ in range(2)]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 2
    assert set(embedded(tmp_path).values()) == {1}
    seen = list(tmp_path.glob("saw-*.pt"))
    assert len(seen) == 2
    assert all(is_right(torch.load(path)) for path in seen)


def test_one_who_waits_for_a_killed_process_takes_over_what_it_finished(tmp_path, spawn):
    first = spawn(run_in_child, str(tmp_path), 0.05)
    wait_for(lambda: finished_shards(tmp_path) >= 1)
    second = spawn(run_in_child, str(tmp_path), 0.0)
    wait_for(lambda: finished_shards(tmp_path) >= 3)
    os.kill(first.pid, signal.SIGKILL)
    second.join(60)
    assert second.exitcode == 0
    assert embedded(tmp_path).total() <= ROWS + SHARD
    [seen] = tmp_path.glob("saw-*.pt")
    assert is_right(torch.load(seen))
