"""Train many heads side by side, shared out among threads that never wait for each other.

Stacked weights and plain autograd: `torch.func.vmap` of `grad` keeps .26 to .68 of the speed of gradients by
hand where this keeps .81 to .93 (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adam import adam

from relrep_exp.config.schema import HeadConfig
from relrep_exp.tasks.decoders.classifiers import FitDecoders, Job
from relrep_exp.tasks.decoders.heads import Head, HeadBank, scores
from relrep_exp.tasks.work import Work
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator, scoped_seed

BANK_ELEMENTS = 2**28  # features held at once by one bank of heads: 1 GiB in float32
STEPS = 16  # done in one of Lightning's steps, whose own cost would exceed that of a head's
LANES = 4  # threads that train, at most: more would wait for Python's lock


def heads(work: Work) -> FitDecoders:
    """Make a function that fits heads: those of equal width on as many samples side by side, in one bank."""
    settings = cast(HeadConfig, work.config.decoder)

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
    settings: HeadConfig,
    training: Training,
) -> HeadBank:
    """Train a head for each x[h] [N, k], y[h] [N] and return them as a bank.

    A head's order of the data, weights and dropout depend on its own seed alone.
    """
    generators = [generator(seed, "head", x[0].shape[-1], classes) for seed in seeds]
    bank = HeadBank(x[0], classes, generators, settings)
    module = HeadTraining(bank, x, y, generators)
    batches = EpochBatches(len(y[0]), STEPS * settings.batch, seeds, y[0].device)
    with module.threads():
        fit(module, batches, settings.epochs, training)
    return bank


class HeadTraining(pl.LightningModule):
    """Train a bank of heads, `STEPS` minibatches at a time.

    Args:
        bank: its weights are updated in place.
        x: features of each head, [N, k].
        y: their classes, int64, [N].
        generators: one for each head, which draw its dropout.
    """

    def __init__(
        self,
        bank: HeadBank,
        x: Sequence[Tensor],
        y: Sequence[Tensor],
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.automatic_optimization = False
        self.bank, self.generators = bank, generators
        rows, labels = x[0].new_empty(len(x), *x[0].shape), torch.stack(list(y))
        for row, features in zip(rows, x, strict=True):
            row.copy_(F.layer_norm(features, features.shape[-1:]))  # the first norm, but for scale and shift
        count = 1 if rows.is_cuda else min(torch.get_num_threads(), LANES, len(x))
        edges = [len(x) * i // count for i in range(count + 1)]  # runs of heads, as equal as can be
        self.lanes = [Lane(bank, slice(*edge), rows, labels) for edge in pairwise(edges)]
        self._draws = torch.empty(len(x), STEPS * bank.settings.batch, rows.shape[-1])
        self.pool: ThreadPoolExecutor | None = None

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Give each lane a thread with its share of the cores, which torch forgets again afterwards.

        A GPU has one lane, and a thread of the CPU for each core to draw its dropout.
        """
        cores = torch.get_num_threads()
        workers = cores if self.lanes[0].x.is_cuda else len(self.lanes)
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
        state = self.optimizers(use_pl_optimizer=False).state  # type: ignore[union-attr]  # there is one
        draws = self._draws[:, : rows.shape[1]]  # the next numbers of each head's generator, [H, S, k]
        list(self.pool.map(lambda one, g: one.uniform_(generator=g), draws, self.generators))
        list(self.pool.map(lambda lane: lane.train(rows[lane.part], draws[lane.part], state), self.lanes))
        for kept in state.values():  # which no lane has counted, as each goes its own way
            kept["step"] += -(-rows.shape[1] // self.bank.settings.batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Keep Adam's averages where Lightning's checkpoints have them; the lanes take its steps."""
        how = self.bank.settings
        weights = [weight for weight in self.bank.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(weights, how.lr, weight_decay=how.weight_decay)
        for weight in weights:
            averages = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
            optimizer.state[weight] = {"step": torch.zeros((), device=weight.device), **averages}
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add where the draws of dropout are."""
        checkpoint["generators"] = [g.get_state() for g in self.generators]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on drawing from there."""
        for g, state in zip(self.generators, checkpoint["generators"], strict=True):
            g.set_state(state)


class Lane:
    """Train some heads of a bank in one thread, each on minibatches and with dropout of its own.

    Args:
        bank: of all heads.
        part: their places in it.
        x: features of all heads, every row with mean 0 and variance 1 over its k features, [H, N, k].
        y: their classes, int64, [H, N].
    """

    def __init__(self, bank: HeadBank, part: slice, x: Tensor, y: Tensor):
        self.bank, self.part, self.x, self.y = bank, part, x[part], y[part]
        # The memory of the bank's, so that Adam's steps are seen there; gradients are of these parts alone.
        self.weights = {
            name: weight.detach()[part].requires_grad_(weight.requires_grad)
            for name, weight in bank.named_parameters()
        }

    def train(self, rows: Tensor, draws: Tensor, state: Mapping[Tensor, Mapping[str, Tensor]]) -> None:
        """Take some steps of Adam.

        Args:
            rows: numbers of each head's rows, in minibatches, [h, S].
            draws: uniform in [0, 1), of each row's hidden units, [h, S, k], on the CPU.
            state: Adam's, of the weights of all heads; these heads' part of it is updated.
        """
        how, keep = self.bank.settings, 1.0 - self.bank.settings.dropout
        kept = draws.lt(keep)
        if self.x.is_cuda:  # from pinned memory, nobody waits for the copy
            kept = kept.pin_memory().to(self.x.device, non_blocking=True)
        masks = kept.to(self.x.dtype).div_(keep)
        heads, n, k = self.x.shape
        flat = rows + n * torch.arange(heads, device=rows.device)[:, None]
        x, y = self.x.view(heads * n, k), self.y.reshape(heads * n)
        trained = [weight for weight in self.weights.values() if weight.requires_grad]
        stepped = [weight.detach() for weight in trained]
        states = [state[weight] for weight in self.bank.parameters() if weight.requires_grad]
        means, squares = ([one[name][self.part] for one in states] for name in ("exp_avg", "exp_avg_sq"))
        counts = [one["step"].clone() for one in states]
        for numbers, mask in zip(flat.split(how.batch, 1), masks.split(how.batch, 1), strict=True):
            chosen = numbers.flatten()
            picked = x.index_select(0, chosen).view(*numbers.shape, k)
            found = scores(self.weights, picked, self.bank.over_batch, mask).flatten(0, 1)
            loss = F.cross_entropy(found, y.index_select(0, chosen), reduction="sum")
            # The sum over heads of their mean losses: no head's gradient knows of another's.
            gradients = torch.autograd.grad(loss, trained, loss.new_tensor(1 / numbers.shape[1]))
            adam(
                stepped,
                list(gradients),
                means,
                squares,
                [],
                counts,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=how.lr,
                weight_decay=how.weight_decay,
                eps=1e-8,
                maximize=False,
            )
