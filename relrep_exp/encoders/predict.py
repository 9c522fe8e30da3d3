"""The loop that runs an encoder over samples: a Lightning prediction on one device or several."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities import move_data_to_device
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from relrep_exp.encoders.batching import (
    AnySamples,
    Batch,
    Batches,
    Job,
    Limits,
    Reader,
    find_limits,
    jobs,
    out_of_memory,
    release_memory,
)
from relrep_exp.encoders.embed import Extraction, unreadable
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.errors import user_error
from relrep_exp.store.shards import Parts
from relrep_exp.training.processes import (
    Failures,
    Spawned,
    environment,
    explained,
    failure_queue,
    keyboard_interrupt,
    quiet,
    told,
)
from relrep_exp.training.watching import watched

_REMEDY = "if memory ran out, use a smaller runtime.batch or runtime.devices; finished shards are kept"
_COMPILERS = ("torch._dynamo", "torch._inductor")  # where the errors of torch.compile are defined


def compute(
    name: str, samples: AnySamples, encoder: Encoder, how: Extraction, parts: Parts, pending: list[int]
) -> None:
    """Write these shards of `parts`, on as many devices as there are shards for.

    Raises:
        UserError: what the user can mend; see `extract`.
        KeyboardInterrupt: on Ctrl-C.
    """
    devices = min(how.devices, len(pending))
    done, failures = torch.zeros(devices, dtype=torch.long), None
    if devices > 1:
        done.share_memory_()
        failures = failure_queue()
    module = EncoderModule(name, encoder, samples, how, parts, pending, done, failures)
    total = sum(len(parts.plan.rows_of(shard)) for shard in pending)
    # Tokenizers warn when a process that has used their threads is forked, which is how workers start.
    threads = "TOKENIZERS_PARALLELISM"
    tokenizers: dict[str, str | None] = {threads: os.environ.get(threads, "false")} if how.workers else {}
    chosen: list[int] | int = devices if how.device.index is None else [how.device.index]
    with (
        quiet(),
        keyboard_interrupt(),
        environment(**tokenizers),
        bar(name, total, done) if how.progress else nullcontext(),
    ):
        trainer = pl.Trainer(
            accelerator="gpu" if how.device.type == "cuda" else "cpu",
            devices=devices if devices > 1 else chosen,
            strategy=Spawned(how.device) if devices > 1 else "auto",
            plugins=[LightningEnvironment()],  # our own processes, inside a job of a cluster, too
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
        )
        with explained(trainer, failures, f"encoder {name!r}", _REMEDY):
            trainer.predict(module, return_predictions=False)


class EncoderModule(pl.LightningModule):
    """An encoder as Lightning's prediction loop drives it; each shard is written with its last batch.

    Args:
        name: the encoder's name, for messages.
        encoder: in evaluation mode.
        samples: what `Encoder.prepare` takes a batch of.
        how: batches, workers, ...
        parts: the plan of the entry, and where shards go.
        pending: the shards to compute; process r of n takes every n-th, from the r-th on.
        done: rows that each process has seen, int64 [processes]; memory that they share.
        failures: where to report what the user can mend; None in the user's own process.
    """

    def __init__(
        self,
        name: str,
        encoder: Encoder,
        samples: AnySamples,
        how: Extraction,
        parts: Parts,
        pending: list[int],
        done: Tensor,
        failures: Failures | None,
    ):
        super().__init__()
        self.encoder_name, self.encoder, self.samples = name, encoder.eval(), samples
        self.how, self.parts, self.plan, self.pending, self.done = how, parts, parts.plan, pending, done
        self.telling = nullcontext if failures is None else partial(told, failures)
        # Of the shard being computed; outputs stay on the device, so that nothing waits for a batch to end.
        self.rows: list[int] = []
        self.outputs: list[Tensor] = []
        self.unread: dict[int, str] = {}

    def setup(self, stage: str) -> None:
        """Lay out and compile the encoder, in the process that runs it."""
        self._on_sigterm = signal.getsignal(signal.SIGTERM)
        # All processes have the same weights already; DDP need not send those of the first to the others.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, _ in (*self.named_parameters(), *self.named_buffers())
        ]
        if self.how.channels_last:
            self.encoder.to(memory_format=torch.channels_last)
        if self.how.compile:
            sizes_vary = type(self.encoder).sizes is not Encoder.sizes
            self.encoder.compile(dynamic=True if sizes_vary else None)

    def predict_dataloader(self) -> Batches:
        """Cut this process's shards into batches."""
        # Let SIGTERM end this process: Lightning has set a handler that only training listens to.
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        reader = Reader(self.encoder, self.samples)
        shards = self.pending[self.trainer.global_rank :: self.trainer.world_size]
        limits = Limits(self.how.batch, self.how.batch_tokens) if self.how.batch != "auto" else None
        if limits is None:
            with self.telling(), self._memory_explained(1):
                rows, tokens = self.plan.rows_of(shards[0]), self.how.batch_tokens
                limits = find_limits(self.encoder_name, reader, rows, tokens, self.embed)
        todo = jobs(self.encoder, self.samples, self.plan, shards, limits)
        return Batches(reader, todo, self.how.workers, pin=self.device.type == "cuda")

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Leave it where it is: `embed` moves it, where a lack of memory is explained."""
        return batch

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Embed a batch: [B, d]; B = 0 where no sample of the batch could be read."""
        if not batch.rows:
            return torch.empty(0, self.encoder.dim, device=self.device)
        with self.telling(), self._memory_explained(len(batch.rows)):
            return self._halving(batch) if self.how.batch == "auto" else self.embed(batch.inputs)

    def on_predict_batch_end(
        self, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Take in the embeddings of a batch, [B, d]; write the shard if it was its last."""
        with self.telling():
            if batch.unread and self.how.on_error == "raise":
                raise unreadable(self.encoder_name, batch.unread)
            self.rows += batch.rows
            self.outputs.append(outputs)
            self.unread |= batch.unread
            if len(self.rows) + len(self.unread) == len(self.plan.rows_of(batch.shard)):
                self._write(batch.shard)
                self.rows, self.outputs, self.unread = [], [], {}
        self.done[self.trainer.global_rank] += len(batch.rows) + len(batch.unread)

    def _write(self, shard: int) -> None:
        rows = self.plan.rows_of(shard)
        x = torch.zeros(len(rows), self.encoder.dim)  # zero where nothing could be read
        x[torch.tensor(self.rows, dtype=torch.long) - rows.start] = torch.cat(self.outputs).cpu()
        finite = x.isfinite().all(dim=1)
        if not finite.all():
            row = rows[int((~finite).nonzero()[0])]
            what = f"encoder {self.encoder_name!r}: the embedding of row {row} is not finite"
            raise user_error(what, "use zoo.dtype=bf16 or zoo.dtype=float32, which reach further than fp16")
        self.parts.write(shard, x, self.unread)

    def embed(self, inputs: Any) -> Tensor:
        """Embed what `Encoder.prepare` made: float32 [B, d] on the device, sharing memory with nothing."""
        inputs = move_data_to_device(inputs, self.device)
        if self.how.channels_last and isinstance(inputs, Tensor) and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with self._compiler_explained():
            x: Tensor = self.encoder(inputs)
        # A copy, as a slice such as states[:, 0] would keep the states of the whole batch in memory.
        return x.to(torch.float32, copy=True)

    def _halving(self, batch: Batch) -> Tensor:
        """`embed`, in pieces if need be: a later shard may hold samples larger than those tried before."""
        try:
            return self.embed(batch.inputs)
        except Exception as error:
            if len(batch.rows) == 1 or not out_of_memory(error):
                raise
        release_memory()
        reader, middle = Reader(self.encoder, self.samples), len(batch.rows) // 2
        halves = (batch.rows[:middle], batch.rows[middle:])
        return torch.cat([self._halving(reader[Job(batch.shard, rows)]) for rows in halves])

    @contextmanager
    def _memory_explained(self, rows: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not out_of_memory(error):
                raise
            what = f"encoder {self.encoder_name!r}: runtime.batch={self.how.batch} does not fit"
            if rows == 1 or self.how.batch == "auto":
                what, remedy = f"{what}: a single sample is too much", "zoo.dtype=bf16 or runtime.device=cpu"
            else:
                what, remedy = f"{what}: {rows} rows are too much", f"runtime.batch={rows // 2} or auto"
            raise user_error(what, f"use {remedy}") from error

    @contextmanager
    def _compiler_explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not (self.how.compile and type(error).__module__.startswith(_COMPILERS)):
                raise
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            what = f"encoder {self.encoder_name!r}: runtime.compile=true fails: {said}"
            raise user_error(
                what, "install a C++ compiler such as g++, or use runtime.compile=false"
            ) from error


class _Rate(ProgressColumn):
    """Samples per second; empty until the first are through."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} samples/s")


@contextmanager
def bar(name: str, total: int, done: Tensor) -> Iterator[None]:
    """Show on stderr, during the block, how much of `total` the counters `done` [processes] add up to.

    Lightning's own bar counts the batches of one process. The processes that count are not this one if there
    are several, so the bar looks instead of being told.
    """
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), _Rate())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = progress.add_task(name, total=total)

    def look() -> None:
        progress.update(task, completed=int(done.sum()))

    with progress:
        try:
            with watched(look):
                yield
        finally:
            look()
