"""Classifier heads: many of one shape, side by side as stacked weights.

A head is LayerNorm, Linear, Tanh, Dropout, a norm, Linear. `mlp` has LayerNorm as the second norm;
`mlp_paper`, the head of the earlier relative-representation code, standardises each feature over the BATCH,
at test time too. That is transductive: it sees the whole test set at once, which hides a shift between
spaces, and one sample alone cannot be classified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.tasks.decoders.head_gradients import over_batch


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
