"""Training of many heads side by side, shared out among threads that never wait for each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adam import adam

from relrep_exp.config.schema import HeadConfig
from relrep_exp.tasks.decoders.classifiers import FitDecoders, Job
from relrep_exp.tasks.decoders.heads import Gradients, Head, HeadBank, HeadSettings
from relrep_exp.tasks.work import Work
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator, scoped_seed

STEPS = 16  # done in one of Lightning's steps, whose own cost would exceed that of a head's
LANES = 4  # threads that train, at most: more would wait for Python's lock
BANK_ELEMENTS = 2**28  # features held at once by one bank of heads: 1 GiB in float32


def heads(work: Work) -> FitDecoders:
    """A function that fits heads: those of equal width on as many samples side by side, in one bank."""
    given = cast(HeadConfig, work.config.decoder)
    settings = HeadSettings(
        over_batch=given.name == "mlp_paper",
        dropout=given.dropout,
        epochs=given.epochs,
        batch=given.batch,
        lr=given.lr,
        weight_decay=given.weight_decay,
    )

    def fit_jobs(jobs: Sequence[Job], classes: int) -> list[Head]:
        alike: dict[torch.Size, list[int]] = {}
        for i, job in enumerate(jobs):
            alike.setdefault(job.x.shape, []).append(i)
        found: dict[int, Head] = {}
        for shape, members in alike.items():
            size = max(1, BANK_ELEMENTS // shape.numel())
            for start in range(0, len(members), size):
                group = members[start : start + size]
                seeds = [scoped_seed(work.config.seed, "decoder", jobs[i].name) for i in group]
                x, y = [jobs[i].x for i in group], [jobs[i].y for i in group]
                bank = fit_heads(x, y, classes, seeds, settings, work.training)
                found |= {i: Head(bank, number) for number, i in enumerate(group)}
        return [found[i] for i in range(len(jobs))]

    return fit_jobs


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
    module = head_training(x, y, classes, seeds, settings)
    rows = module.lanes[0].x
    batches = EpochBatches(rows.shape[1], STEPS * settings.batch, seeds, rows.device)
    with module.threads():
        fit(module, batches, settings.epochs, training)
    return module.bank


def head_training(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    classes: int,
    seeds: Sequence[int],
    settings: HeadSettings,
) -> HeadTraining:
    """Put fresh heads into a bank, and share them out among threads; arguments as of `fit_heads`."""
    rows = x[0].new_empty(len(x), *x[0].shape)
    for row, features in zip(rows, x, strict=True):
        row.copy_(F.layer_norm(features, features.shape[-1:]))  # the first norm, but for its scale and shift
    labels = torch.stack(list(y))
    generators = [generator(seed, "head", rows.shape[-1], classes) for seed in seeds]
    bank = HeadBank(rows, classes, generators, settings)
    weights = {name: weight.detach() for name, weight in bank.named_parameters()}
    means, squares = ({name: torch.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    state = AdamState(weights, means, squares)
    count = 1 if rows.is_cuda else min(torch.get_num_threads(), LANES, len(seeds))
    edges = [len(seeds) * i // count for i in range(count + 1)]  # runs of heads, as equal as can be
    lanes = []
    for part in (slice(*edge) for edge in pairwise(edges)):
        own = AdamState(*({name: t[part] for name, t in kind.items()} for kind in state))
        gradients = Gradients(own.weights, settings.over_batch)
        lanes.append(HeadLane(part, own, gradients, rows[part], labels[part], settings))
    return HeadTraining(bank, state, lanes, generators)


class AdamState(NamedTuple):
    """Weights of stacked heads and Adam's averages of their gradients and squared gradients, all by name."""

    weights: dict[str, Tensor]
    means: dict[str, Tensor]
    squares: dict[str, Tensor]


@dataclass(frozen=True)
class HeadLane:
    """Some heads that are trained by one thread; every head has minibatches and dropout of its own.

    Attributes:
        part: their places in the bank.
        state: of these heads; updated in place.
        gradients: of their weights.
        x: features of each head, every row with mean 0 and variance 1 over its k features, [h, N, k].
        y: their classes, int64, [h, N].
        settings: shape and training.
    """

    part: slice
    state: AdamState
    gradients: Gradients
    x: Tensor
    y: Tensor
    settings: HeadSettings

    @torch.no_grad()
    def train(self, rows: Tensor, draws: Tensor, done: int) -> None:
        """Take some steps of Adam after those done.

        Args:
            rows: numbers of each head's rows, in minibatches, [h, S].
            draws: uniform in [0, 1), of each row's hidden units, [h, S, k], on the CPU.
            done: steps.
        """
        names = list(self.gradients.of)
        weights, means, squares = ([kind[name] for name in names] for kind in self.state)
        counts = [torch.full((), float(done), device=rows.device) for _ in names]
        heads, n, k = self.x.shape
        flat = rows + n * torch.arange(heads, device=rows.device)[:, None]
        x, y, batch = self.x.view(heads * n, k), self.y.reshape(heads * n), self.settings.batch
        for numbers, mask in zip(flat.split(batch, 1), self.masks(draws).split(batch, 1), strict=True):
            picked = x.index_select(0, numbers.flatten()).view(*numbers.shape, k)
            self.gradients(picked, y[numbers], mask)
            adam(
                weights,
                list(self.gradients.of.values()),
                means,
                squares,
                [],
                counts,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.settings.lr,
                weight_decay=self.settings.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def masks(self, draws: Tensor) -> Tensor:
        """What hidden units are multiplied by: 0 or 1 / (1 - dropout)."""
        keep = 1.0 - self.settings.dropout
        kept = draws.lt(keep)
        if self.x.is_cuda:  # from pinned memory, nobody waits for the copy
            kept = kept.pin_memory().to(self.x.device, non_blocking=True)
        return kept.to(self.x.dtype).div_(keep)


class HeadTraining(pl.LightningModule):
    """Trains a bank of heads, `STEPS` minibatches at a time.

    Args:
        bank: its weights are updated in place.
        adam: the same weights, and Adam's averages.
        lanes: all heads, shared out.
        generators: one for each head, which draw its dropout.
    """

    def __init__(
        self,
        bank: HeadBank,
        adam: AdamState,
        lanes: Sequence[HeadLane],
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.automatic_optimization = False
        self.bank, self.adam, self.lanes, self.generators, self.steps = bank, adam, lanes, generators, 0
        width = lanes[0].x.shape[-1]
        self._draws = torch.empty(len(generators), STEPS * bank.settings.batch, width)
        self.pool: ThreadPoolExecutor | None = None

    @contextmanager
    def threads(self) -> Iterator[None]:
        """A thread for each lane, with its share of the cores, which torch forgets again afterwards.

        A GPU has one lane, and a thread of the CPU for each core to draw its dropout.
        """
        cores, lanes = torch.get_num_threads(), len(self.lanes)
        workers = lanes if self.lanes[0].x.device.type == "cpu" else cores
        share = (max(1, cores // workers),)
        try:
            with ThreadPoolExecutor(workers, "heads", torch.set_num_threads, share) as self.pool:
                yield
        finally:
            self.pool = None
            torch.set_num_threads(cores)

    def training_step(self, rows: Tensor, _: int) -> None:
        """Train through a stretch of the epoch. rows [H, S], `STEPS` minibatches at most."""
        assert self.pool is not None, "fit_heads opens it"
        draws = self._draws[:, : rows.shape[1]]  # the next numbers of each head's generator, [H, S, k]
        list(self.pool.map(lambda one, g: one.uniform_(generator=g), draws, self.generators))
        work = [(lane, rows[lane.part], draws[lane.part]) for lane in self.lanes]
        list(self.pool.map(lambda one: one[0].train(*one[1:], self.steps), work))
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
