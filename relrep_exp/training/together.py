"""A fit that several processes share: the same batches, each a share of every step, the same numbers."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch

from relrep_exp.training.batches import EpochBatches, OnEpoch, Training
from relrep_exp.training.fit import EpochLosses, keyboard_interrupt, make_trainer, quiet, run_fit
from relrep_exp.training.processes import Failures, Spawned, environment, explained, failure_queue, told
from relrep_exp.training.share import ALONE
from relrep_exp.training.watching import watched

_REMEDY = (
    "the same command goes on from the last checkpoint; if memory ran out, use a smaller anchors.batch or "
    "runtime.devices=1"
)


class SharedModule(pl.LightningModule, ABC):
    """A module with a share of each step, which keeps and tells the mean losses of every epoch.

    Args:
        names: of its losses.
        on_epoch: told the epoch's number and mean losses.
    """

    def __init__(self, names: Sequence[str], on_epoch: OnEpoch | None):
        super().__init__()
        self.losses, self.on_epoch = EpochLosses(names), on_epoch
        self.failures: Failures | None = None
        self.share = ALONE

    @abstractmethod
    def check_epoch(self, means: Mapping[str, float]) -> None:
        """Raise a UserError if an epoch with these losses ends the fit."""

    @abstractmethod
    def unload(self) -> None:
        """Move the data to the CPU; a process that is started there has them through shared memory."""

    def on_train_epoch_end(self) -> None:
        """Close the epoch's curves."""
        means = self.losses.close_epoch(self.share)
        with told(self.failures):
            self.check_epoch(means)
        if self.on_epoch is not None and self.share.rank == 0:
            self.on_epoch(self.current_epoch, means)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights."""
        checkpoint["curves"] = self.losses.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curves that were kept."""
        self.losses.curves = checkpoint["curves"]


def fit_together(
    what: str, module: SharedModule, batches: EpochBatches, epochs: int, training: Training
) -> None:
    """`training.fit` by `training.devices` spawned processes, over nccl on GPUs and gloo on the CPU.

    The parameters, the curves and what `on_epoch` is told end up in this process. A checkpoint is the same
    file as that of one process, and either goes on from the other's.

    Args:
        what: what is trained, for messages.
        module: what to train; it takes its share in `setup`.
        batches: of all processes, row numbers on the CPU or moved there.
        epochs: how many in all.
        training: how.

    Raises:
        UserError: the module ended the fit, or a process was killed.
        KeyboardInterrupt: on Ctrl-C.
    """
    device, batches.device = batches.device, torch.device("cpu")
    module.unload()
    if training.checkpoint is not None and training.checkpoint.exists():
        module.on_load_checkpoint(torch.load(training.checkpoint, map_location="cpu", weights_only=True))
    curves, on_epoch, failures = module.losses.curves, module.on_epoch, failure_queue()
    module.on_epoch = told_epochs = Epochs(curves, epochs)
    module.failures = failures
    with quiet(), keyboard_interrupt(), tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(device, epochs, training, training.devices, Spawned(device, scratch=folder))
        with (
            environment(
                TMPDIR=folder
            ),  # where Lightning puts the parameters for this process, and forgets them
            _telling(told_epochs, on_epoch),
            explained(trainer, failures, what, _REMEDY),
        ):
            run_fit(trainer, module, batches, training)
    module.losses.curves = told_epochs.curves()


class Epochs:
    """Mean losses of the epochs that are over, in memory that processes share.

    Args:
        before: curves of the epochs before this fit.
        epochs: how many there will be in all.
    """

    def __init__(self, before: Mapping[str, list[float]], epochs: int):
        self.names, self.first = list(before), min(map(len, before.values()))
        self.values = torch.zeros(len(before), epochs, dtype=torch.float64).share_memory_()
        self.over = torch.tensor(self.first).share_memory_()
        self.values[:, : self.first] = torch.tensor(list(before.values()), dtype=torch.float64)

    def __call__(self, epoch: int, means: Mapping[str, float]) -> None:
        """Put down an epoch."""
        self.values[:, epoch] = torch.tensor([means[name] for name in self.names], dtype=torch.float64)
        self.over.fill_(epoch + 1)

    def means(self, epoch: int) -> dict[str, float]:
        """An epoch that is over."""
        return dict(zip(self.names, self.values[:, epoch].tolist(), strict=True))

    def curves(self) -> dict[str, list[float]]:
        """All epochs that are over."""
        return dict(zip(self.names, self.values[:, : int(self.over)].tolist(), strict=True))


@contextmanager
def _telling(epochs: Epochs, on_epoch: OnEpoch | None) -> Iterator[None]:
    """Calls `on_epoch`, during the block, for each epoch that is over; its error comes at the block's end."""
    if on_epoch is None:
        yield
        return
    errors, told_so_far = list[BaseException](), epochs.first

    def tell() -> None:
        nonlocal told_so_far
        try:
            while not errors and told_so_far < int(epochs.over):
                on_epoch(told_so_far, epochs.means(told_so_far))
                told_so_far += 1
        except BaseException as error:  # it is raised below
            errors.append(error)

    with watched(tell):
        yield
    tell()
    if errors:
        raise errors[0]
