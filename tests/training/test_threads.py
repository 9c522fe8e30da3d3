"""How many threads a run may use, and that the next one is not bound by it."""

import os

import torch

from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.training import device, threads


def test_a_limit_is_taken_back():
    threads.limit(0)  # of a run before
    before = {pool: os.environ.get(pool) for pool in threads.POOLS}
    threads.limit(3)
    assert {os.environ[pool] for pool in threads.POOLS} == {"3"} and threads.given() == 3
    threads.limit(0)
    assert {pool: os.environ.get(pool) for pool in threads.POOLS} == before


def test_a_run_with_one_thread_leaves_the_next_one_all_of_its_own(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(device, "_THREADS", 3)  # that the process started with
    try:
        found = []
        for asked in (1, 0):
            device.Runtime.of(RuntimeConfig(threads=asked))
            found.append(torch.get_num_threads())
        assert found == [1, 3]
    finally:
        torch.set_num_threads(before)
