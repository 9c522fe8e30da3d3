"""Classifier heads: many of one shape, trained side by side as stacked weights.

A head is LayerNorm, Linear, Tanh, Dropout, a norm, Linear. `mlp` has LayerNorm as the second norm;
`mlp_paper`, the head of the earlier relative-representation code, standardises each feature over the BATCH,
at test time too. That is transductive: it sees the whole test set at once, which hides a shift between
spaces, and one sample alone cannot be classified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.alignment.seeding import generator
from relrep_exp.modules.fitting import fit
from relrep_exp.modules.training import EpochBatches, Training

NORM_EPS = 1e-5


@dataclass(frozen=True)
class HeadSettings:
    """Shape and training of a head.

    Attributes:
        over_batch: standardise features over the batch before the last layer (`mlp_paper`).
        dropout: share of hidden units dropped in training.
        epochs: passes over the training samples.
        batch: samples in a step.
        lr: Adam's learning rate.
        weight_decay: Adam's L2 penalty.
    """

    over_batch: bool = False
    dropout: float = 0.5
    epochs: int = 9
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-4


class HeadBank(pl.LightningModule):
    """H heads that never see each other: own weights, own order of the data, own dropout.

    Args:
        x: each head's training features, [H, N, k].
        y: labels, [N].
        classes: C.
        seeds: one for each head; a head's result depends on its own seed and data only.
        settings: shape and training.
    """

    def __init__(self, x: Tensor, y: Tensor, classes: int, seeds: Sequence[int], settings: HeadSettings):
        super().__init__()
        self.x, self.y, self.settings = x, y, settings
        heads, _, k = x.shape
        self.generators = [generator(seed, "head", k, classes) for seed in seeds]
        self.first, self.first_bias = self._linear(k, k)
        self.last, self.last_bias = self._linear(k, classes)
        self.scale, self.shift = self._affine(heads, k, trained=True)
        self.scale2, self.shift2 = self._affine(heads, k, trained=not settings.over_batch)

    def _affine(self, heads: int, k: int, trained: bool) -> tuple[nn.Parameter, nn.Parameter]:
        """Scale and shift of a norm, [H, 1, k] each; the norm over the batch has none."""
        ones, zeros = self.x.new_ones(heads, 1, k), self.x.new_zeros(heads, 1, k)
        return nn.Parameter(ones, requires_grad=trained), nn.Parameter(zeros, requires_grad=trained)

    def _linear(self, inputs: int, outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
        """Weights [H, inputs, outputs] and biases [H, 1, outputs], drawn as torch.nn.Linear draws them."""
        bound = inputs**-0.5
        draws = [torch.rand(inputs + 1, outputs, generator=g) for g in self.generators]
        values = ((2.0 * torch.stack(draws) - 1.0) * bound).to(self.x)
        return nn.Parameter(values[:, :-1].contiguous()), nn.Parameter(values[:, -1:].contiguous())

    def logits(self, x: Tensor, mask: Tensor | None = None, heads: slice = slice(None)) -> Tensor:
        """Class scores. x [h, B, k] for the chosen heads, mask scales hidden units -> [h, B, C]."""
        x = F.layer_norm(x, x.shape[-1:]) * self.scale[heads] + self.shift[heads]
        x = torch.tanh(torch.baddbmm(self.first_bias[heads], x, self.first[heads]))
        x = x if mask is None else x * mask
        if self.settings.over_batch:
            variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
            x = (x - mean) * (variance + NORM_EPS).rsqrt()
        else:
            x = F.layer_norm(x, x.shape[-1:]) * self.scale2[heads] + self.shift2[heads]
        return torch.baddbmm(self.last_bias[heads], x, self.last[heads])

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Sum over heads of the mean cross-entropy, so that each head's gradient is its own. rows [H, B]."""
        x = torch.stack([features[order] for features, order in zip(self.x, rows, strict=True)])
        scores = self.logits(x, self._dropout_mask(x))
        loss = F.cross_entropy(scores.flatten(0, 1), self.y[rows].flatten(), reduction="none")
        return loss.view(rows.shape).mean(1).sum()

    def _dropout_mask(self, x: Tensor) -> Tensor:
        keep = 1.0 - self.settings.dropout
        draws = torch.stack([torch.rand(x.shape[1:], generator=g) for g in self.generators]).to(x)
        return (draws < keep).to(x) / keep

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, element by element, so that stacking changes nothing."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(
            trained, self.settings.lr, weight_decay=self.settings.weight_decay, fused=True
        )

    @torch.no_grad()
    def predict_head(self, head: int, x: Tensor) -> Tensor:
        """Labels of x [N, k] by one head, [N].

        Raises:
            ValueError: one sample alone, for a head that standardises over the batch.
        """
        if self.settings.over_batch and len(x) < 2:
            raise ValueError("mlp_paper standardises over the batch: it cannot read a single sample; use mlp")
        return self.logits(x[None], heads=slice(head, head + 1))[0].argmax(1)


def fit_heads(
    x: Sequence[Tensor],
    y: Tensor,
    classes: int,
    seeds: Sequence[int],
    settings: HeadSettings,
    training: Training,
) -> HeadBank:
    """Train one head for each feature matrix x[h] [N, k] and return them as a bank."""
    bank = HeadBank(torch.stack(list(x)), y, classes, seeds, settings)
    fit(bank, EpochBatches(len(y), settings.batch, seeds, y.device), settings.epochs, training)
    bank.x = bank.x.new_empty(0)  # predicting needs the weights alone
    return bank
