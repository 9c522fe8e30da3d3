"""Gradients of stacked heads by hand: one product per layer, into memory that is kept.

Automatic differentiation would allocate every gradient anew, and touching fresh memory costs more than the
products themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

NORM_EPS = 1e-5


def standardised(x: Tensor) -> Tensor:
    """x [N, k] with mean 0 and variance 1 in every row: what LayerNorm does before its scale and shift."""
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)


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
