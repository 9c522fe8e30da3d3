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

from relrep_exp.alignment.seeding import generator
from relrep_exp.modules.fitting import fit
from relrep_exp.modules.head_lane import STEPS, AdamState, HeadLane, HeadRows
from relrep_exp.modules.heads import HeadBank, HeadSettings
from relrep_exp.modules.training import EpochBatches, Training

LANES = 4  # threads at most: more would wait for Python's lock


class HeadTraining(pl.LightningModule):
    """Trains a bank of heads, `STEPS` steps in each of Lightning's, whose own cost would exceed a step's.

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
        self.parts = _parts(len(generators), 1 if rows.x.is_cuda else min(torch.get_num_threads(), LANES))
        self.lanes = [
            HeadLane(self.adam.part(p), rows.part(p), generators[p], bank.settings) for p in self.parts
        ]
        self.pool: ThreadPoolExecutor | None = None

    @contextmanager
    def threads(self) -> Iterator[None]:
        """A thread for each lane, with its share of the cores, which torch forgets again afterwards."""
        cores = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                len(self.lanes), "heads", torch.set_num_threads, (max(1, cores // len(self.lanes)),)
            ) as self.pool:
                yield
        finally:
            self.pool = None
            torch.set_num_threads(cores)

    def training_step(self, rows: Tensor, _: int) -> None:
        """The steps of a stretch of the epoch: rows [H, S], S at most `STEPS` minibatches."""
        assert self.pool is not None, "fit_heads opens it"
        parts = [rows[part] for part in self.parts]
        for _lane in self.pool.map(HeadLane.train, self.lanes, parts, [self.steps] * len(parts)):
            pass
        self.steps += -(-rows.shape[1] // self.bank.settings.batch)

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
