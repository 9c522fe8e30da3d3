"""Classifier heads: many of one shape, side by side as stacked weights.

A head is LayerNorm, Linear, Tanh, Dropout, a norm, Linear. `mlp` has LayerNorm as the second norm;
`mlp_paper`, the head of the earlier relative-representation code, standardises each feature over the BATCH,
at test time too. That is transductive: it sees the whole test set at once, which hides a shift between
spaces, and one sample alone cannot be classified.

Gradients are by hand: one product per layer, into memory that is kept. Automatic differentiation would
allocate every gradient anew, and touching fresh memory costs more than the products themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class Gradients:
    """Loss gradients of stacked heads, each for its own minibatch.

    Args:
        weights: `scale`, `shift` [h, 1, k], `first` [h, k, k], `first_bias` [h, 1, k], `scale2`, `shift2`
            [h, 1, k], `last` [h, k, C], `last_bias` [h, 1, C].
        over_batch: the second norm is over the batch and has neither scale nor shift.

    Attributes:
        of: the gradients, named and shaped like the weights; written anew by every call.
    """

    def __init__(self, weights: Mapping[str, Tensor], over_batch: bool):
        self.weights, self.over_batch = weights, over_batch
        fixed = ("scale2", "shift2") if over_batch else ()
        self.of = {name: torch.empty_like(w) for name, w in weights.items() if name not in fixed}
        self._scratch: dict[tuple[str, int], Tensor] = {}

    def __call__(self, x: Tensor, y: Tensor, mask: Tensor) -> None:
        """Gradients of each head's mean cross-entropy. x [h, B, k] standardised, y [h, B], mask [h, B, k]."""
        w = self.weights
        scaled = torch.addcmul(w["shift"], x, w["scale"], out=self._kept("scaled", x))
        hidden = torch.baddbmm(w["first_bias"], scaled, w["first"], out=self._kept("hidden", x)).tanh_()
        dropped = torch.mul(hidden, mask, out=self._kept("dropped", x))
        d = self._over_batch(dropped, y) if self.over_batch else self._layer_norm(dropped, y)
        d = torch.ops.aten.tanh_backward(d.mul_(mask), hidden)
        d = self._linear("first", scaled, d)
        self._affine("", x, d)

    def _layer_norm(self, x: Tensor, y: Tensor) -> Tensor:
        """Through the second norm and the last layer and back again. x [h, B, k] -> its gradient."""
        scale, k = self.weights["scale2"], x.shape[-1:]
        normed, mean, rstd = torch.native_layer_norm(x, k, None, None, NORM_EPS)
        inputs = torch.addcmul(self.weights["shift2"], normed, scale, out=self._kept("inputs", x))
        d = self._linear("last", inputs, self._loss(inputs, y))
        self._affine("2", normed, d)
        back = torch.ops.aten.native_layer_norm_backward
        gradient: Tensor = back(d.mul_(scale), x, k, mean, rstd, None, None, [True, False, False])[0]
        return gradient

    def _over_batch(self, x: Tensor, y: Tensor) -> Tensor:
        """The same for the norm over the batch."""
        normed, rstd = over_batch(x)
        d = self._linear("last", normed, self._loss(normed, y))
        along = (d * normed).mean(1, keepdim=True)
        return d.sub_(d.mean(1, keepdim=True)).sub_(normed * along).mul_(rstd)

    def _loss(self, inputs: Tensor, y: Tensor) -> Tensor:
        """Gradient of the cross-entropy by the scores: (softmax - one-hot) / B, [h, B, C]."""
        scores = torch.baddbmm(self.weights["last_bias"], inputs, self.weights["last"])
        d = torch.softmax(scores, dim=-1)
        d.scatter_add_(2, y[..., None], d.new_full((*y.shape, 1), -1.0))
        return d.div_(y.shape[1])

    def _linear(self, name: str, x: Tensor, d: Tensor) -> Tensor:
        """A layer's gradients and that of its inputs x [h, B, inputs], from its outputs' d."""
        torch.sum(d, 1, keepdim=True, out=self.of[f"{name}_bias"])
        torch.bmm(x.mT, d, out=self.of[name])
        return torch.bmm(d, self.weights[name].mT, out=self._kept(f"{name} back", x))

    def _affine(self, name: str, x: Tensor, d: Tensor) -> None:
        """Gradients of a norm's scale and shift, from d [h, B, k] of its outputs; x is what it scales."""
        torch.sum(d, 1, keepdim=True, out=self.of[f"shift{name}"])
        product = torch.mul(d, x, out=self._kept("product", x))
        torch.sum(product, 1, keepdim=True, out=self.of[f"scale{name}"])

    def _kept(self, name: str, like: Tensor) -> Tensor:
        """Memory for an intermediate result, the same in every step."""
        key = (name, like.shape[1])
        if key not in self._scratch:
            self._scratch[key] = torch.empty_like(like)
        return self._scratch[key]


def over_batch(x: Tensor) -> tuple[Tensor, Tensor]:
    """Each feature of x [h, B, k] standardised over the batch, and 1 / its standard deviation [h, 1, k]."""
    centred = x - x.mean(1, keepdim=True)  # torch.var_mean is slow along this axis
    rstd = ((centred * centred).mean(1, keepdim=True) + NORM_EPS).rsqrt()
    return centred * rstd, rstd
