"""Classifier heads: many of one shape, side by side as stacked weights.

A head is LayerNorm, Linear, Tanh, Dropout, a norm, Linear. `mlp` has LayerNorm as the second norm;
`mlp_paper`, the head of the earlier relative-representation code, standardises each feature over the BATCH,
at test time too. That is transductive: it sees the whole test set at once, which hides a shift between
spaces, and one sample alone cannot be classified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.config.schema import HeadConfig
from relrep_exp.tasks.decoders.classifiers import FitDecoders, Job
from relrep_exp.tasks.decoders.head_training import (
    LANES,
    STEPS,
    AdamState,
    Gradients,
    HeadLane,
    HeadSettings,
    HeadTraining,
    over_batch,
)
from relrep_exp.tasks.work import Work
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator, scoped_seed

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
    bank, module = head_training(x, y, classes, seeds, settings)
    batches = EpochBatches(len(y[0]), STEPS * settings.batch, seeds, y[0].device)
    with module.threads():
        fit(module, batches, settings.epochs, training)
    return bank


def head_training(
    x: Sequence[Tensor],
    y: Sequence[Tensor],
    classes: int,
    seeds: Sequence[int],
    settings: HeadSettings,
) -> tuple[HeadBank, HeadTraining]:
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
    return bank, HeadTraining(bank, state, lanes, generators)


class HeadBank(nn.Module):
    """H heads that never see each other, with fresh weights.

    Args:
        like: features, [H, ..., k]: their width, precision and device.
        classes: C.
        generators: one for each head, on the CPU; draw its weights.
        settings: shape.
    """

    def __init__(
        self, like: Tensor, classes: int, generators: Sequence[torch.Generator], settings: HeadSettings
    ):
        super().__init__()
        self.settings = settings
        k = like.shape[-1]
        self.first, self.first_bias = _linear(like, k, generators)
        self.last, self.last_bias = _linear(like, classes, generators)
        self.scale, self.shift = _affine(like, trained=True)
        self.scale2, self.shift2 = _affine(like, trained=not settings.over_batch)

    def logits(self, x: Tensor, heads: slice = slice(None)) -> Tensor:
        """Class scores of samples, without dropout. x [h, B, k] for the chosen heads -> [h, B, C]."""
        x = F.layer_norm(x, x.shape[-1:]) * self.scale[heads] + self.shift[heads]
        x = torch.tanh(torch.baddbmm(self.first_bias[heads], x, self.first[heads]))
        if self.settings.over_batch:
            x, _ = over_batch(x)
        else:
            x = F.layer_norm(x, x.shape[-1:]) * self.scale2[heads] + self.shift2[heads]
        return torch.baddbmm(self.last_bias[heads], x, self.last[heads])

    @torch.no_grad()
    def predict_head(self, head: int, x: Tensor) -> Tensor:
        """Labels of x [N, k] by one head, [N].

        Raises:
            ValueError: one sample alone, for a head that standardises over the batch.
        """
        if self.settings.over_batch and len(x) < 2:
            raise ValueError("mlp_paper standardises over the batch: it cannot read a single sample; use mlp")
        return self.logits(x[None], heads=slice(head, head + 1))[0].argmax(1)


@dataclass(frozen=True)
class Head:
    """One head of a bank."""

    bank: HeadBank
    number: int

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return self.bank.predict_head(self.number, x)


def _affine(like: Tensor, trained: bool) -> tuple[nn.Parameter, nn.Parameter]:
    """Scale and shift of a norm, [H, 1, k] each; the norm over the batch has none."""
    heads, k = like.shape[0], like.shape[-1]
    ones, zeros = like.new_ones(heads, 1, k), like.new_zeros(heads, 1, k)
    return nn.Parameter(ones, requires_grad=trained), nn.Parameter(zeros, requires_grad=trained)


def _linear(
    like: Tensor, outputs: int, generators: Sequence[torch.Generator]
) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights [H, k, outputs] and biases [H, 1, outputs], drawn as torch.nn.Linear draws them."""
    k = like.shape[-1]
    draws = [torch.rand(k + 1, outputs, generator=g) for g in generators]
    values = ((2.0 * torch.stack(draws) - 1.0) * k**-0.5).to(like)
    return nn.Parameter(values[:, :-1].contiguous()), nn.Parameter(values[:, -1:].contiguous())
