"""Which rows go through the encoder together, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset

from relrep_exp.data.samples import BadSampleError, ImageSamples
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.store.shards import Plan
from relrep_exp.training.processes import end_with_parent

AnySamples: TypeAlias = Sequence[Any] | ImageSamples


@dataclass(frozen=True)
class Limits:
    """How large a batch may be.

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
    """What a worker process does: job -> batch."""

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
