"""Classifier heads: many of one shape, side by side as stacked weights.

A head is LayerNorm, Linear, Tanh, Dropout, a norm, Linear. `mlp` has LayerNorm as the second norm;
`mlp_paper`, the head of the earlier relative-representation code, standardises each feature over the BATCH,
at test time too. That is transductive: it sees the whole test set at once, which hides a shift between
spaces, and one sample alone cannot be classified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.config.schema import HeadConfig

NORM_EPS = 1e-5


class HeadBank(nn.Module):
    """Hold H heads that never see each other, with fresh weights.

    Args:
        like: features, [..., k]: their width, precision and device.
        classes: C.
        generators: one for each head, on the CPU; draw its weights.
        settings: dropout, batch and the like; its name says which head.
    """

    def __init__(
        self, like: Tensor, classes: int, generators: Sequence[torch.Generator], settings: HeadConfig
    ):
        super().__init__()
        self.settings, self.over_batch = settings, settings.name == "mlp_paper"
        k = like.shape[-1]
        self.first, self.first_bias = _linear(like, k, generators)
        self.last, self.last_bias = _linear(like, classes, generators)
        ones = like.new_ones(len(generators), 1, k)
        learns = not self.over_batch  # the norm over the batch has neither scale nor shift
        self.scale, self.shift = nn.Parameter(ones.clone()), nn.Parameter(torch.zeros_like(ones))
        self.scale2 = nn.Parameter(ones.clone(), requires_grad=learns)
        self.shift2 = nn.Parameter(torch.zeros_like(ones), requires_grad=learns)

    def logits(self, x: Tensor, heads: slice = slice(None)) -> Tensor:
        """Score the classes of samples, without dropout. x [h, B, k] for the chosen heads -> [h, B, C]."""
        weights = {name: weight[heads] for name, weight in self.named_parameters()}
        return scores(weights, F.layer_norm(x, x.shape[-1:]), self.over_batch)


@dataclass(frozen=True)
class Head:
    """Read by one head of a bank."""

    bank: HeadBank
    number: int

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Classify x [N, k] -> [N].

        Raises:
            ValueError: one sample alone, for a head that standardises over the batch.
        """
        if self.bank.over_batch and len(x) < 2:
            raise ValueError("mlp_paper standardises over the batch: it cannot read a single sample; use mlp")
        return self.bank.logits(x[None], slice(self.number, self.number + 1))[0].argmax(1)


def _linear(
    like: Tensor, outputs: int, generators: Sequence[torch.Generator]
) -> tuple[nn.Parameter, nn.Parameter]:
    """Draw weights [H, k, outputs] and biases [H, 1, outputs], as torch.nn.Linear draws them."""
    k = like.shape[-1]
    draws = [torch.rand(k + 1, outputs, generator=g) for g in generators]
    values = ((2.0 * torch.stack(draws) - 1.0) * k**-0.5).to(like)
    return nn.Parameter(values[:, :-1].contiguous()), nn.Parameter(values[:, -1:].contiguous())


def scores(w: Mapping[str, Tensor], x: Tensor, over_batch: bool, mask: Tensor | None = None) -> Tensor:
    """Score the classes of standardised samples x [h, B, k] -> [h, B, C]; mask [h, B, k] is dropout's."""
    hidden = torch.baddbmm(w["first_bias"], torch.addcmul(w["shift"], x, w["scale"]), w["first"]).tanh()
    if mask is not None:
        hidden = hidden * mask
    if over_batch:
        centred = hidden - hidden.mean(1, keepdim=True)  # torch.var_mean is slow along this axis
        inputs = centred * ((centred * centred).mean(1, keepdim=True) + NORM_EPS).rsqrt()
    else:
        inputs = torch.addcmul(w["shift2"], F.layer_norm(hidden, hidden.shape[-1:]), w["scale2"])
    return torch.baddbmm(w["last_bias"], inputs, w["last"])
