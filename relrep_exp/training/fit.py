"""One way to train: a Lightning fit over device-resident data, resumable, that answers Ctrl-C properly."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from relrep_exp.training.batches import EpochBatches, Training
from relrep_exp.training.share import ALONE, Share


def fit(module: pl.LightningModule, batches: EpochBatches, epochs: int, training: Training) -> None:
    """Train for some epochs, resuming from the checkpoint if there is one and removing it at the end.

    Raises:
        KeyboardInterrupt: on Ctrl-C; Lightning alone would end the process with exit code 1.
    """
    with quiet(), keyboard_interrupt():
        run_fit(make_trainer(batches.device, epochs, training), module, batches, training)


def make_trainer(
    device: torch.device,
    epochs: int,
    training: Training,
    devices: int = 1,
    strategy: str | Strategy = "auto",
) -> pl.Trainer:
    """A trainer that says and keeps nothing but what `training` asks for."""
    callbacks: list[pl.Callback] = [RichProgressBar(leave=False)] if training.progress else []
    if training.checkpoint is not None:
        callbacks.append(PeriodicCheckpoint(training.checkpoint, training.checkpoint_seconds))
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=devices,
        strategy=strategy,
        plugins=[LightningEnvironment()] if devices > 1 else None,  # inside a job of a cluster, too
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=training.checkpoint is not None,
        enable_model_summary=False,
        enable_progress_bar=training.progress,
        use_distributed_sampler=False,
    )


def run_fit(
    trainer: pl.Trainer, module: pl.LightningModule, batches: EpochBatches, training: Training
) -> None:
    """Fit, from the checkpoint on if there is one, and remove it."""
    resume = training.checkpoint if training.checkpoint and training.checkpoint.exists() else None
    trainer.fit(module, train_dataloaders=batches, ckpt_path=resume, weights_only=True)
    module.to(batches.device)  # Lightning leaves it on the CPU
    if training.checkpoint is not None:
        training.checkpoint.unlink(missing_ok=True)


class PeriodicCheckpoint(Checkpoint):
    """Saves at the end of an epoch when enough time has passed; the file is replaced in one step.

    A `Checkpoint`, because Lightning calls those after the module's own hook, which closes the curves.
    """

    def __init__(self, path: Path, seconds: float):
        self.path, self.seconds, self.last = path, seconds, time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time; of several processes, all save or none."""
        due = time.monotonic() - self.last >= self.seconds
        if not trainer.strategy.reduce_boolean_decision(due, all=False):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.tmp-{os.getpid()}")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:  # the one that writes
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

    def close_epoch(self, share: Share = ALONE) -> dict[str, float]:
        """Append the epoch's means, summed over the processes' shares, to the curves and return them."""
        assert self._sums is not None, "an epoch has at least one step"
        sums = share.total(self._sums[:-1]) / self._sums[-1]
        means = dict(zip(self.curves, sums.tolist(), strict=True))
        for name, value in means.items():
            self.curves[name].append(value)
        self._sums.zero_()
        return means


@contextmanager
def keyboard_interrupt() -> Iterator[None]:
    """Turn Lightning's exit on Ctrl-C back into KeyboardInterrupt, and take Ctrl-C into account again."""
    main = threading.current_thread() is threading.main_thread()
    before: Any = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the advice of Lightning and its processes out of the output; their errors still come through."""
    names = (
        "pytorch_lightning",
        "lightning_fabric",
        "pytorch_lightning.utilities.rank_zero",
        "torch.multiprocessing.spawn",
    )
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
