"""Embeddings as they come out of the encoder, put into order and on the disk shard by shard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from relrep_exp.encoders.batching import Batch
from relrep_exp.encoders.settings import unreadable
from relrep_exp.errors import user_error
from relrep_exp.store.shards import Parts
from relrep_exp.training.processes import Failures, told


@dataclass
class _Shard:
    """The shard being computed; outputs stay on the device, so that nothing waits for a batch to end."""

    number: int
    rows: list[int] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    unread: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows) + len(self.unread)

    def ordered(self, rows: range, dim: int) -> Tensor:
        """[n, d] on the CPU, in the order of `rows`; zero where nothing could be read."""
        x = torch.zeros(len(rows), dim)
        if self.rows:
            x[torch.tensor(self.rows) - rows.start] = torch.cat(self.outputs).cpu()
        return x


class ShardWriter(pl.Callback):
    """Writes a shard as soon as its last batch is there; batches come shard after shard.

    Args:
        name: the encoder's name, for messages.
        dim: d, the width of its embeddings.
        parts: where shards go.
        on_error: what to do about samples that cannot be read.
        done: rows that each process has seen, int64 [processes]; memory that they share.
        failures: where to report what the user can mend; None in the user's own process.
    """

    def __init__(
        self,
        name: str,
        dim: int,
        parts: Parts,
        on_error: Literal["raise", "skip"],
        done: Tensor,
        failures: Failures | None,
    ):
        self.name, self.dim, self.parts, self.on_error = name, dim, parts, on_error
        self.done, self.failures = done, failures
        self._shard: _Shard | None = None

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take in the embeddings of a batch, [B, d]."""
        with told(self.failures):
            self._add(batch, outputs)
        self.done[trainer.global_rank] += len(batch.rows) + len(batch.unread)

    def _add(self, batch: Batch, outputs: Tensor) -> None:
        if batch.unread and self.on_error == "raise":
            raise unreadable(self.name, batch.unread)
        shard = self._shard or _Shard(batch.shard)
        shard.rows += batch.rows
        shard.outputs += [outputs] if batch.rows else []
        shard.unread |= batch.unread
        complete = len(shard) == len(self.parts.plan.rows_of(shard.number))
        self._shard = None if complete else shard
        if complete:
            self._write(shard)

    def _write(self, shard: _Shard) -> None:
        rows = self.parts.plan.rows_of(shard.number)
        x = shard.ordered(rows, self.dim)
        finite = x.isfinite().all(dim=1)
        if not finite.all():
            row = rows[int((~finite).nonzero()[0])]
            what = f"encoder {self.name!r}: the embedding of row {row} is not finite"
            raise user_error(what, "use zoo.dtype=bf16 or zoo.dtype=float32, which reach further than fp16")
        self.parts.write(shard.number, x, shard.unread)
