"""Which rows go through the encoder together, how they are read, and how many of them are fastest."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from pytorch_lightning.utilities.memory import is_oom_error
from torch.utils.data import DataLoader, Dataset

from relrep_exp.data.samples import BadSampleError, ImageSamples
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.store.shards import Plan
from relrep_exp.training.processes import end_with_parent

AnySamples: TypeAlias = Sequence[Any] | ImageSamples

_LOG = logging.getLogger("relrep_exp")
FIRST, MOST = 8, 1024  # rows in a batch that `auto` tries
GAIN = 1.05  # rows per second have to rise by this factor for a batch twice as large
_SECONDS, _RUNS = 0.3, 5  # a batch is run at least twice, as a first run also warms up; these end it


@dataclass(frozen=True)
class Limits:
    """Bounds of a batch.

    Attributes:
        rows: at most so many.
        tokens: rows times the largest size among them, at most, unless it is a single row.
    """

    rows: int
    tokens: int


class Job(NamedTuple):
    """A batch before it is read: the rows of a shard that go together."""

    shard: int
    rows: list[int]


class Batch(NamedTuple):
    """A batch as the encoder takes it; a tuple, which a DataLoader moves and pins.

    Attributes:
        shard: the shard that all rows belong to.
        rows: the rows that could be read.
        inputs: what `Encoder.prepare` made of them; None if there are none.
        unread: row -> why it could not be read.
    """

    shard: int
    rows: list[int]
    inputs: Any
    unread: dict[int, str]


class Window(Sequence[Any]):
    """Some rows of the samples, read when asked for: an encoder that asks for no sizes decodes no image."""

    def __init__(self, samples: AnySamples, rows: Sequence[int]):
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Window(self.samples, self.rows[index])
        return self.samples[self.rows[index]]


def sizes_of(encoder: Encoder, samples: AnySamples, rows: Sequence[int]) -> list[int] | None:
    """Size up each row, 0 for one that cannot be read; None if they all cost the same."""
    if type(encoder).sizes is Encoder.sizes:
        return None
    try:
        sizes = encoder.sizes(Window(samples, rows))
    except BadSampleError:
        good = {row: sample for row in rows if not isinstance(sample := read(samples, row), BadSampleError)}
        sizes = encoder.sizes(list(good.values()))
        if sizes is not None:
            known = dict(zip(good, sizes, strict=True))
            return [known.get(row, 0) for row in rows]
    return None if sizes is None else list(sizes)


def pack(rows: Sequence[int], sizes: Sequence[int] | None, limits: Limits) -> Iterator[list[int]]:
    """Cut rows into batches, in their order, or else by size, the largest first.

    A lack of memory shows at once then, and what is padded to the longest of a batch is padded little.
    """
    if sizes is None:
        for start in range(0, len(rows), limits.rows):
            yield list(rows[start : start + limits.rows])
        return
    order = sorted(range(len(rows)), key=lambda place: -sizes[place])
    while order:
        count = min(limits.rows, max(1, limits.tokens // max(1, sizes[order[0]])))
        yield [rows[place] for place in order[:count]]
        order = order[count:]


def jobs(
    encoder: Encoder, samples: AnySamples, plan: Plan, shards: Iterable[int], limits: Limits
) -> Iterator[Job]:
    """Cut shards into batches, one shard after the other; nothing is held but the rows of one."""
    for shard in shards:
        rows = plan.rows_of(shard)
        for batch in pack(rows, sizes_of(encoder, samples, rows), limits):
            yield Job(shard, batch)


def read(samples: AnySamples, row: int) -> Any:
    """Read the sample of a row, or return the `BadSampleError` that it raises."""
    try:
        return samples[row]
    except BadSampleError as error:
        return error


class Reader(Dataset[Batch]):
    """Read the samples of a job and prepare them as a batch, in a worker process where there are any."""

    def __init__(self, encoder: Encoder, samples: AnySamples):
        self.encoder, self.samples = encoder, samples

    def __getitem__(self, job: Job) -> Batch:
        found = {row: read(self.samples, row) for row in job.rows}
        unread = {row: str(sample) for row, sample in found.items() if isinstance(sample, BadSampleError)}
        good = {row: sample for row, sample in found.items() if row not in unread}
        inputs = self.encoder.prepare(list(good.values())) if good else None
        return Batch(job.shard, list(good), inputs, unread)


@dataclass(frozen=True)
class Batches:
    """The batches of some jobs, each read once.

    No DataLoader itself, as Lightning would put a sampler of its own around ours, which keeps the number
    of every row. The workers live from the first shard to the last, for all of them are one pass.
    """

    reader: Reader
    jobs: Iterable[Job]
    workers: int
    pin: bool

    def __iter__(self) -> Iterator[Batch]:
        loader: Iterable[Batch] = DataLoader(
            self.reader,
            sampler=self.jobs,
            batch_size=None,
            num_workers=self.workers,
            worker_init_fn=end_with_parent,
            pin_memory=self.pin,
            generator=torch.Generator(),  # otherwise its seed for the workers is drawn from the global one
        )
        yield from loader  # nothing starts before the first is asked for: Lightning tries iter() once before


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
    sizes, longest, largest = sizes_of(reader.encoder, reader.samples, rows), 1, list(rows)
    most = min(MOST, len(rows))
    if sizes is not None:
        order = sorted(range(len(rows)), key=lambda place: -sizes[place])
        largest, longest = [rows[place] for place in order], max(1, *sizes)
        most = max(1, min(most, tokens // longest))
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
            start = time.perf_counter()
            run(batch.inputs)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    except Exception as error:
        if not out_of_memory(error):
            raise
    else:
        return len(batch.rows) / min(times)
    release_memory()  # outside the handler, where the traceback still holds the tensors of the failed run
    return None


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory, the device's or the host's, did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or is_oom_error(error)


def release_memory() -> None:
    """Give back what the device's allocator keeps back, after a batch that did not fit."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
