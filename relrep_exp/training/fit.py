"""Train in one way: a Lightning fit over device-resident data, resumable, that answers Ctrl-C properly."""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar
from torch import Tensor

from relrep_exp.errors import UserError
from relrep_exp.training.device import OnEpoch, Training
from relrep_exp.training.processes import keyboard_interrupt, quiet
from relrep_exp.training.seeding import generator


class EpochBatches:
    """Row numbers of each minibatch, a fresh order every epoch; the data stay on the device, unmoved.

    The order is a function of (seed, epoch) alone, so a resumed fit sees the batches that it would have
    seen. Lightning announces the epoch through `sampler.set_epoch`.

    Args:
        n: rows.
        batch: rows in a minibatch; the last one of an epoch may be smaller.
        seeds: one order for each; batches are [len(seeds), B].
        device: where the row numbers are needed.
    """

    def __init__(self, n: int, batch: int, seeds: Sequence[int], device: torch.device):
        self.n, self.batch, self.seeds, self.device = n, batch, seeds, device
        self.epoch = 0
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.n // self.batch)

    def __iter__(self) -> Iterator[Tensor]:
        orders = [
            torch.randperm(self.n, generator=generator(seed, "order", self.epoch)) for seed in self.seeds
        ]
        yield from torch.stack(orders).to(self.device).split(self.batch, dim=1)


def fit(module: pl.LightningModule, batches: EpochBatches, epochs: int, training: Training) -> None:
    """Train for some epochs, resuming from the checkpoint if there is one and removing it at the end.

    Nothing is said or kept but what `training` asks for.

    Raises:
        KeyboardInterrupt: on Ctrl-C; Lightning alone would end the process with exit code 1.
    """
    checkpoint, resume = training.checkpoint, None
    callbacks: list[pl.Callback] = [RichProgressBar(leave=False)] if training.progress else []
    if checkpoint is not None:
        callbacks.append(PeriodicCheckpoint(checkpoint, training.checkpoint_seconds))
        resume = checkpoint if checkpoint.exists() else None
    with quiet(), keyboard_interrupt():
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="gpu" if batches.device.type == "cuda" else "cpu",
            devices=1,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=checkpoint is not None,
            enable_model_summary=False,
            enable_progress_bar=training.progress,
            use_distributed_sampler=False,
        )
        trainer.fit(module, train_dataloaders=batches, ckpt_path=resume, weights_only=True)
    module.to(batches.device)  # Lightning leaves it on the CPU
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)


class PeriodicCheckpoint(Checkpoint):
    """Saves at the end of an epoch when enough time has passed; the file is replaced in one step.

    A `Checkpoint`, because Lightning calls those after the module's own hook, which closes the curves.
    """

    def __init__(self, path: Path, seconds: float):
        self.path, self.seconds, self.last = path, seconds, time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time."""
        if time.monotonic() - self.last < self.seconds:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.tmp-{os.getpid()}")
        trainer.save_checkpoint(temporary)
        temporary.replace(self.path)
        self.last = time.monotonic()


class EpochLosses:
    """Means of named losses over each epoch, summed on the device in one place and read once an epoch."""

    def __init__(self, names: Sequence[str]):
        self.curves: dict[str, list[float]] = {name: [] for name in names}
        self._sums: Tensor | None = None  # of the losses, then the number of steps

    def add(self, losses: Sequence[Tensor]) -> None:
        """Count one step's losses, in the order of the names."""
        values = torch.stack([loss.detach() for loss in losses])
        step = torch.cat([values, torch.ones_like(values[:1])])
        if self._sums is None:
            self._sums = torch.zeros_like(step)
        self._sums += step

    def close_epoch(self) -> dict[str, float]:
        """Append the epoch's means to the curves and return them."""
        assert self._sums is not None, "an epoch has at least one step"
        means = dict(zip(self.curves, (self._sums[:-1] / self._sums[-1]).tolist(), strict=True))
        for name, value in means.items():
            self.curves[name].append(value)
        self._sums.zero_()
        return means


class CurvesModule(pl.LightningModule, ABC):
    """Train by several named losses, whose mean over each epoch is kept with the weights and told.

    Args:
        names: of its losses; a step returns `loss`, what is minimised, and `terms`, all in this order.
        on_epoch: told the epoch's number and mean losses.
        lr: Adam's learning rate.
    """

    def __init__(self, names: Sequence[str], on_epoch: OnEpoch | None, lr: float):
        super().__init__()
        self.losses, self.on_epoch, self.lr = EpochLosses(names), on_epoch, lr

    def configure_optimizers(self) -> Any:
        """Adam on all parameters."""
        return torch.optim.Adam(self.parameters(), self.lr, fused=True)

    @abstractmethod
    def diverged(self, names: str) -> UserError:
        """Say what to do about losses that are not finite."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count the step's losses."""
        self.losses.add(outputs["terms"])

    def on_train_epoch_end(self) -> None:
        """Close the epoch's curves; stop at the first loss that is not finite."""
        means = self.losses.close_epoch()
        if bad := [name for name, value in means.items() if not math.isfinite(value)]:
            raise self.diverged(", ".join(bad))
        if self.on_epoch is not None:
            self.on_epoch(self.current_epoch, means)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights."""
        checkpoint["curves"] = self.losses.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curves that were kept."""
        self.losses.curves = checkpoint["curves"]
