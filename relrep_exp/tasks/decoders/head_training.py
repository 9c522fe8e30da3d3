"""Training of many heads side by side, shared out among threads that never wait for each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from relrep_exp.tasks.decoders.head_lane import AdamState, HeadLane, HeadRows
from relrep_exp.tasks.decoders.heads import HeadBank, HeadSettings
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator

STEPS = 16  # done in one of Lightning's steps, whose own cost would exceed that of a head's
LANES = 4  # threads that train, at most: more would wait for Python's lock


class HeadTraining(pl.LightningModule):
    """Trains a bank of heads, `STEPS` minibatches at a time.

    Args:
        bank: its weights are updated in place.
        rows: each head's training data.
        generators: one for each head, which draw its dropout.
    """

    def __init__(self, bank: HeadBank, rows: HeadRows, generators: Sequence[torch.Generator]):
        super().__init__()
        self.automatic_optimization = False
        self.bank, self.generators, self.steps = bank, generators, 0
        self.adam = AdamState.of({name: weights.detach() for name, weights in bank.named_parameters()})
        lanes = 1 if rows.x.is_cuda else min(torch.get_num_threads(), LANES)
        self.parts = _parts(len(generators), lanes)
        self.lanes = [HeadLane(self.adam.part(p), rows.part(p), bank.settings) for p in self.parts]
        width = rows.x.shape[-1]
        self._draws = torch.empty(len(generators), STEPS * bank.settings.batch, width)
        self.pool: ThreadPoolExecutor | None = None

    @contextmanager
    def threads(self) -> Iterator[None]:
        """A thread for each lane, with its share of the cores, which torch forgets again afterwards.

        A GPU has one lane, and a thread of the CPU for each core to draw its dropout.
        """
        cores, lanes = torch.get_num_threads(), len(self.lanes)
        workers = lanes if self.lanes[0].rows.x.device.type == "cpu" else cores
        share = (max(1, cores // workers),)
        try:
            with ThreadPoolExecutor(workers, "heads", torch.set_num_threads, share) as self.pool:
                yield
        finally:
            self.pool = None
            torch.set_num_threads(cores)

    def training_step(self, rows: Tensor, _: int) -> None:
        """The steps of a stretch of the epoch. rows [H, S], `STEPS` minibatches at most."""
        assert self.pool is not None, "fit_heads opens it"
        draws = self._uniform(rows.shape[1])
        work = [(lane, rows[p], draws[p]) for lane, p in zip(self.lanes, self.parts, strict=True)]
        list(self.pool.map(lambda one: one[0].train(*one[1:], self.steps), work))
        self.steps += -(-rows.shape[1] // self.bank.settings.batch)

    def _uniform(self, count: int) -> Tensor:
        """The next numbers of each head's generator, [H, count, k]."""
        assert self.pool is not None, "fit_heads opens it"
        draws = self._draws[:, :count]
        list(self.pool.map(lambda one, g: one.uniform_(generator=g), draws, self.generators))
        return draws

    def configure_optimizers(self) -> None:
        """None for Lightning: the lanes have their own."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what goes on from step to step beside the weights."""
        states = [g.get_state() for g in self.generators]
        checkpoint["heads"] = {
            "steps": self.steps,
            "generators": states,
            "means": self.adam.means,
            "squares": self.adam.squares,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        saved = checkpoint["heads"]
        self.steps = saved["steps"]
        for g, state in zip(self.generators, saved["generators"], strict=True):
            g.set_state(state)
        for name in self.adam.weights:
            self.adam.means[name].copy_(saved["means"][name])
            self.adam.squares[name].copy_(saved["squares"][name])


def fit_heads(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    classes: int,
    seeds: Sequence[int],
    settings: HeadSettings,
    training: Training,
) -> HeadBank:
    """Train a head for each x[h] [N, k], y[h] [N] and return them as a bank.

    A head's order of the data, weights and dropout depend on its own seed alone.
    """
    rows = HeadRows.of(x, y)
    generators = [generator(seed, "head", rows.x.shape[-1], classes) for seed in seeds]
    bank = HeadBank(rows.x, classes, generators, settings)
    module = HeadTraining(bank, rows, generators)
    batches = EpochBatches(rows.x.shape[1], STEPS * settings.batch, seeds, rows.x.device)
    with module.threads():
        fit(module, batches, settings.epochs, training)
    return bank


def _parts(heads: int, lanes: int) -> list[slice]:
    """Runs of heads, as equal as can be, `lanes` at most."""
    edges = [heads * i // min(heads, lanes) for i in range(min(heads, lanes) + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
