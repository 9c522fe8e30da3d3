"""What a fit is asked for, and the order in which it sees the rows; `fit.py` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relrep_exp.training.seeding import generator

OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Training:
    """How a fit is run; nothing here changes its result.

    Attributes:
        progress: show a progress bar.
        checkpoint: file that an interrupted fit resumes from; None keeps none.
        checkpoint_seconds: at most this much training is lost to a kill.
        on_epoch: told the epoch's number and mean losses, for live curves.
    """

    progress: bool = False
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    on_epoch: OnEpoch | None = None


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
