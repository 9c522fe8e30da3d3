"""Training of many heads side by side, shared out among threads that never wait for each other.

Gradients are by hand: one product per layer, into memory that is kept. Automatic differentiation would
allocate every gradient anew, and touching fresh memory costs more than the products themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.adam import adam

STEPS = 16  # done in one of Lightning's steps, whose own cost would exceed that of a head's
LANES = 4  # threads that train, at most: more would wait for Python's lock
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
        bank: nn.Module,
        adam: AdamState,
        lanes: Sequence[HeadLane],
        generators: Sequence[torch.Generator],
    ):
        super().__init__()
        self.automatic_optimization = False
        self.bank, self.adam, self.lanes, self.generators, self.steps = bank, adam, lanes, generators, 0
        width = lanes[0].x.shape[-1]
        self._draws = torch.empty(len(generators), STEPS * lanes[0].settings.batch, width)
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
        self.steps += -(-rows.shape[1] // self.lanes[0].settings.batch)

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
