"""Batches: which samples go together, and the size that is fastest and fits."""

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import EXPECTED, SAMPLES, Toy, run

from relrep_exp.encoders.batching import Limits, pack, search


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    rows=st.integers(1, 20),
    tokens=st.integers(1, 100),
)
def test_batches_keep_both_limits_and_start_with_the_largest(sizes, rows, tokens):
    numbers = range(100, 100 + len(sizes))
    batches = list(pack(numbers, sizes, Limits(rows, tokens)))
    size = dict(zip(numbers, sizes, strict=True))
    assert sorted(row for batch in batches for row in batch) == list(numbers)
    ordered = [size[row] for batch in batches for row in batch]
    assert ordered == sorted(sizes, reverse=True)
    for batch in batches:
        longest = max(size[row] for row in batch)
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * longest <= tokens


def test_samples_of_one_size_keep_their_order():
    limits = Limits(4, 1)
    assert list(pack(range(7, 16), None, limits)) == [[7, 8, 9, 10], [11, 12, 13, 14], [15]]


def test_similar_lengths_go_together_within_a_shard(tmp_path):
    encoder = Toy()
    run(tmp_path, encoder, batch=8, shard=25)
    lengths = [len(sample) for sample in SAMPLES]
    for shard, batches in ((lengths[:25], encoder.batches[:4]), (lengths[25:], encoder.batches[4:])):
        assert [n for batch in batches for n in batch] == sorted(shard, reverse=True)


def test_sizes_are_asked_for_shard_by_shard(tmp_path):
    encoder = Toy()
    run(tmp_path, encoder, shard=20)
    assert encoder.asked == [20, 20, 10]


def test_samples_are_not_read_to_learn_that_they_all_cost_the_same(tmp_path):
    class Counted(list):
        reads = 0

        def __getitem__(self, row):
            self.reads += 1
            return super().__getitem__(row)

    samples = Counted(SAMPLES)
    run(tmp_path, Toy(sized=False), samples)
    assert samples.reads == len(SAMPLES)


def test_auto_halves_what_turns_out_not_to_fit(tmp_path):
    encoder = Toy(most=3)  # rows, although what it says about sizes promises that tokens count
    assert torch.equal(run(tmp_path, encoder, batch="auto").x, EXPECTED)
    assert max(map(len, encoder.batches)) <= 3


def test_auto_survives_that_memory_runs_out(tmp_path, caplog):
    encoder = Toy(most=20, sized=False)
    with caplog.at_level(logging.INFO, "relrep_exp"):
        found = run(tmp_path, encoder, batch="auto")
    assert torch.equal(found.x, EXPECTED)
    assert "runtime.batch=auto found" in caplog.text
    assert max(map(len, encoder.batches)) <= 20


def rates(**table):
    """Rows per second by batch; what is not listed does not fit."""
    asked = []

    def rate(count):
        asked.append(count)
        return table.get(f"b{count}")

    return rate, asked


def test_auto_doubles_while_it_gains_five_percent():
    rate, asked = rates(b8=100.0, b16=190.0, b32=200.0, b64=209.0, b128=900.0)
    assert search(rate, 1024) == 32
    assert asked == [8, 16, 32, 64]


def test_auto_stops_where_memory_runs_out_and_at_the_most():
    assert search(rates(b8=1.0, b16=2.0)[0], 1024) == 16
    assert search(rates(b8=1.0, b16=2.0, b20=3.0, b40=9.0)[0], 20) == 20
    assert search(rates(b2=1.0, b1=1.0)[0], 1024) == 2
    with pytest.raises(torch.OutOfMemoryError):
        search(rates()[0], 1024)
