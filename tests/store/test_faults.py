"""The stores under real faults: killed writers, readers during a replacement, racing processes."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from relrep_exp.store.files import write_atomic
from relrep_exp.store.keys import content_key
from relrep_exp.store.once import key_lock
from relrep_exp.store.records import Record, RecordStore, Row
from relrep_exp.store.tensors import TensorStore

KEY = content_key({"seed": 0})
PAUSE = 0.005  # seconds between replacements: a reader starts anew when there was one while it read
FILLER = "x" * 1_000_000  # what is written is a MB, so that kills fall into the writing


def tensors_of(number, size=250_000):
    return {"x": torch.full((size,), float(number)), "one": torch.ones(1)}, {"number": number}


def record_of(number):
    rows = [Row("vit", "mlp", "param-wip", metric, float(number)) for metric in ("mrr", "cka")]
    diagnostics = {"filler": FILLER, "number": number}
    return Record(KEY, "digits_stitch", "param-wip", {"seed": 0}, rows, diagnostics=diagnostics)


def number_in(entry):
    """The one number that all parts of an entry were written with."""
    if isinstance(entry, Record):
        numbers, said = [row.value for row in entry.rows], entry.diagnostics["number"]
    else:
        numbers, said = entry.tensors["x"].unique().tolist(), entry.describe["number"]
    assert set(numbers) == {said}
    return said


# What child processes do; they are started clean, so each is a function of this module.


def replace_tensors_forever(root, started):
    store = TensorStore(Path(root))
    for number in range(10**6):
        store.get_or_compute(KEY, lambda number=number: tensors_of(number), recompute=True)
        started.set()
        time.sleep(PAUSE)


def replace_records_forever(root, started):
    store = RecordStore(Path(root))
    for number in range(10**6):
        store.get_or_run(KEY, lambda number=number: record_of(number), "always")
        started.set()
        time.sleep(PAUSE)


def compute_and_count(root, log, barrier):
    def count():
        with Path(log).open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        time.sleep(0.1)

    def compute():
        count()
        return tensors_of(os.getpid(), size=10)

    def run():
        count()
        return record_of(os.getpid())

    barrier.wait()
    tensors = TensorStore(Path(root) / "embeddings").get_or_compute(KEY, compute)
    barrier.wait()
    record, _ = RecordStore(Path(root) / "records").get_or_run(KEY, run)
    write_atomic(Path(root) / f"saw-{os.getpid()}", f"{number_in(tensors)} {number_in(record)}".encode())


def hold_lock(path, started):
    with key_lock(Path(path)):
        started.set()
        time.sleep(60)


BOTH_STORES = pytest.mark.parametrize(
    ("make_store", "forever"),
    [(TensorStore, replace_tensors_forever), (RecordStore, replace_records_forever)],
)


def temps(root):
    return [path.name for path in root.iterdir() if path.name.endswith(".tmp")]


def stop_while_it_writes(child, root, rng):
    """Stops the child at a random instant between the creation of a temp and its renaming."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if temps(root):
            time.sleep(rng.uniform(0, 0.003))
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(0.002)
            if temps(root):
                return
            os.kill(child.pid, signal.SIGCONT)
    raise AssertionError("it was never caught writing")


@BOTH_STORES
def test_a_writer_killed_at_any_instant_leaves_no_part(tmp_path, processes, spawn, make_store, forever):
    store, rng, interrupted = make_store(tmp_path), random.Random(0), 0
    for round_number in range(6):
        started = processes.Event()
        child = spawn(forever, str(tmp_path), started)
        assert started.wait(20)
        if round_number % 2:
            time.sleep(rng.uniform(0, 0.1))
        else:
            stop_while_it_writes(child, tmp_path, rng)
        os.kill(child.pid, signal.SIGKILL)
        child.join(10)
        assert child.exitcode == -signal.SIGKILL
        interrupted += bool(temps(tmp_path))
        if (entry := store.find(KEY)) is not None or make_store is RecordStore:
            number_in(entry)  # only a folder may be missing, between the two renames that replace it
    assert interrupted >= 3
    if make_store is TensorStore:
        again = store.get_or_compute(KEY, lambda: tensors_of(-1), recompute=True)
    else:
        again, _ = store.get_or_run(KEY, lambda: record_of(-1), "always")
    assert number_in(again) == number_in(store.find(KEY)) == -1
    name = KEY if make_store is TensorStore else f"{KEY}.json"
    assert {path.name for path in tmp_path.iterdir()} == {name, ".locks"}


@BOTH_STORES
def test_a_reader_never_sees_part_of_an_entry_while_another_process_replaces_it(
    tmp_path, processes, spawn, make_store, forever
):
    started, store, seen = processes.Event(), make_store(tmp_path), []
    spawn(forever, str(tmp_path), started)
    assert started.wait(20)
    begin = time.monotonic()
    while time.monotonic() < begin + 0.5 or (len(set(seen)) < 5 and time.monotonic() < begin + 20):
        if (entry := store.find(KEY)) is not None or make_store is RecordStore:
            seen.append(number_in(entry))
    assert seen == sorted(seen)
    assert len(set(seen)) >= 5, "nothing was replaced while it was read, so this proved nothing"
    assert not [path for path in tmp_path.iterdir() if "corrupt" in path.name]


def test_four_processes_that_ask_for_one_key_make_it_once(tmp_path, processes, spawn):
    log, barrier = tmp_path / "log", processes.Barrier(4)
    children = [spawn(compute_and_count, str(tmp_path), str(log), barrier) for _ in range(4)]
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * 4
    made_tensors, made_record = log.read_text().split()
    seen = [path.read_text() for path in tmp_path.glob("saw-*")]
    assert seen == [f"{made_tensors} {made_record}"] * 4


def test_threads_that_ask_for_one_key_make_it_once(tmp_path):
    store, made, found = TensorStore(tmp_path), [], []

    def compute():
        made.append(1)
        time.sleep(0.05)
        return tensors_of(7, size=10)

    threads = [
        threading.Thread(target=lambda: found.append(number_in(store.get_or_compute(KEY, compute))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), found) == (1, [7.0] * 6)


def test_a_process_killed_with_the_lock_does_not_block_the_next(tmp_path, processes, spawn):
    started = processes.Event()
    child = spawn(hold_lock, str(tmp_path / KEY), started)
    assert started.wait(20)
    threading.Timer(0.2, os.kill, (child.pid, signal.SIGKILL)).start()
    begin = time.monotonic()
    assert number_in(TensorStore(tmp_path).get_or_compute(KEY, lambda: tensors_of(3, size=10))) == 3
    assert 0.1 < time.monotonic() - begin < 60
