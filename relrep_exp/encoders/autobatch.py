"""The size of batches that is fastest and fits, found on the data themselves."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities.memory import is_oom_error

from relrep_exp.encoders.batching import Job, Limits, Reader, sizes_of

_LOG = logging.getLogger("relrep_exp")

FIRST, MOST = 8, 1024
GAIN = 1.05  # rows per second have to rise by this factor for a batch twice as large
_SECONDS, _RUNS = 0.3, 5  # a batch is run at least twice, as a first run also warms up; these end it


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, the device's or the host's, did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_oom_error(error)


def find_limits(
    name: str, reader: Reader, rows: Sequence[int], tokens: int, run: Callable[[Any], object]
) -> Limits:
    """Double the batch as long as the largest of `rows` go through faster, at most to 1,024 rows.

    Where samples differ in size the cost of a batch is its tokens, so that what is found bounds the
    tokens, and batches of small samples hold more rows. Lightning's BatchSizeFinder does something else:
    it looks for the largest batch that fits, by doubling until memory runs out, which on a CPU's
    machine swaps or kills the process instead of ending the search, and a larger batch is not a faster one.

    Args:
        name: the encoder's name, for the log.
        reader: turns rows into a batch.
        rows: some rows of the data.
        tokens: rows times the largest of them, at most.
        run: the encoder; may raise an out-of-memory error.

    Raises:
        torch.OutOfMemoryError: not even one row fits.
    """
    sizes = sizes_of(reader.encoder, reader.samples, rows)
    longest = max(1, max(sizes)) if sizes is not None else 1
    order = (
        sorted(range(len(rows)), key=lambda place: -sizes[place]) if sizes is not None else range(len(rows))
    )
    largest = [rows[place] for place in order[:MOST]]
    most = max(1, min(len(largest), tokens // longest if sizes is not None else MOST))
    found = search(lambda count: _rate(reader, largest[:count], run), most)
    _LOG.info("encoder %r: runtime.batch=auto found %d rows of size %d", name, found, longest)
    if sizes is None:
        return Limits(found, tokens)
    return Limits(MOST, tokens if found == most else found * longest)


def search(rate: Callable[[int], float | None], most: int) -> int:
    """Find the count after which doubling gains less than 5 %; `rate` is rows per second, None: no fit.

    Raises:
        torch.OutOfMemoryError: a single row does not fit.
    """
    count = min(FIRST, most)
    while (best := rate(count)) is None:
        if count == 1:
            raise torch.OutOfMemoryError("a single sample does not fit")
        count //= 2
    while count < most:
        larger = min(2 * count, most)
        now = rate(larger)
        if now is None or now < GAIN * best:
            break
        count, best = larger, now
    return count


def _rate(reader: Reader, rows: list[int], run: Callable[[Any], object]) -> float | None:
    """Rows per second of a batch, the best of some runs; None if it does not fit."""
    batch = reader[Job(0, rows)]
    if not batch.rows:
        return 0.0
    times: list[float] = []
    try:
        while len(times) < 2 or (sum(times) < _SECONDS and len(times) < _RUNS):
            times.append(_seconds(run, batch.inputs))
    except Exception as error:
        if not out_of_memory(error):
            raise
    else:
        return len(batch.rows) / min(times)
    release_memory()  # outside the handler, where the traceback still holds the tensors of the failed run
    return None


def release_memory() -> None:
    """Give back what the device's allocator keeps back, after a batch that did not fit."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _seconds(run: Callable[[Any], object], inputs: Any) -> float:
    start = time.perf_counter()
    run(inputs)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start
