"""How many threads a run may use, and that the next one is not bound by it."""

import os
import subprocess
import sys

from relrep_exp.training import threads

COUNTS = """
import torch
from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.training import threads
from relrep_exp.training.device import Runtime
before = torch.get_num_threads()
for asked in (1, 0):
    threads.limit(asked)
    Runtime.of(RuntimeConfig(threads=asked))
    print(torch.get_num_threads() == (asked or before))
"""


def test_a_limit_is_taken_back():
    threads.limit(0)  # of a run before
    before = {pool: os.environ.get(pool) for pool in threads.POOLS}
    threads.limit(3)
    assert {os.environ[pool] for pool in threads.POOLS} == {"3"} and threads.given() == 3
    threads.limit(0)
    assert {pool: os.environ.get(pool) for pool in threads.POOLS} == before


def test_a_run_with_one_thread_leaves_the_next_one_all_of_its_own():
    env = {name: value for name, value in os.environ.items() if name not in threads.POOLS}
    done = subprocess.run([sys.executable, "-c", COUNTS], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
