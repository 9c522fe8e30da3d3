"""Adam on stacked heads: every head has minibatches and dropout of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adam import adam

from relrep_exp.tasks.decoders.head_gradients import Gradients, standardised
from relrep_exp.tasks.decoders.heads import HeadSettings


@dataclass(frozen=True)
class HeadRows:
    """What heads are trained on.

    Attributes:
        x: features of each head, every row with mean 0 and variance 1 over its k features, [h, N, k].
        y: their classes, int64, [h, N].
    """

    x: Tensor
    y: Tensor

    @staticmethod
    def of(x: Sequence[Tensor], y: Sequence[Tensor]) -> HeadRows:
        """From each head's features [N, k] and classes [N]."""
        rows = x[0].new_empty(len(x), *x[0].shape)
        for row, features in zip(rows, x, strict=True):
            row.copy_(standardised(features))
        return HeadRows(rows, torch.stack(list(y)))

    def part(self, heads: slice) -> HeadRows:
        """Those of some heads, without a copy."""
        return HeadRows(self.x[heads], self.y[heads])

    def drawn(self, rows: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Minibatches x [h, B, k], y [h, B] of at most `size` rows each. rows [h, S] are numbers of rows."""
        heads, n, k = self.x.shape
        flat = rows + n * torch.arange(heads, device=rows.device)[:, None]
        x, y = self.x.view(heads * n, k), self.y.reshape(heads * n)
        for numbers in flat.split(size, dim=1):
            yield x.index_select(0, numbers.flatten()).view(*numbers.shape, k), y[numbers]


@dataclass(frozen=True)
class AdamState:
    """Weights of stacked heads and Adam's averages of their gradients and squared gradients, all by name."""

    weights: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    squares: Mapping[str, Tensor]

    @staticmethod
    def of(weights: Mapping[str, Tensor]) -> AdamState:
        """Before the first step."""
        means, squares = ({name: torch.zeros_like(w) for name, w in weights.items()} for _ in range(2))
        return AdamState(weights, means, squares)

    def part(self, heads: slice) -> AdamState:
        """Those of some heads, without a copy."""
        parts = [{name: t[heads] for name, t in kind.items()} for kind in vars(self).values()]
        return AdamState(*parts)


class HeadLane:
    """Some heads that are trained by one thread.

    Args:
        state: of these heads; updated in place.
        rows: their training data.
        settings: shape and training.
    """

    def __init__(self, state: AdamState, rows: HeadRows, settings: HeadSettings):
        self.state, self.rows, self.settings = state, rows, settings
        self.gradients = Gradients(state.weights, settings.over_batch)

    @torch.no_grad()
    def train(self, rows: Tensor, draws: Tensor, done: int) -> None:
        """Some steps after those done.

        Args:
            rows: numbers of each head's rows, in minibatches, [h, S].
            draws: uniform in [0, 1), of each row's hidden units, [h, S, k], on the CPU.
            done: steps.
        """
        counts = [torch.full((), float(done), device=rows.device) for _ in self.gradients.of]
        minibatches = self.rows.drawn(rows, self.settings.batch)
        masks = self.masks(draws).split(self.settings.batch, dim=1)
        for (x, y), mask in zip(minibatches, masks, strict=True):
            self.gradients(x, y, mask)
            self._adam(counts)

    def masks(self, draws: Tensor) -> Tensor:
        """What hidden units are multiplied by: 0 or 1 / (1 - dropout)."""
        x, keep = self.rows.x, 1.0 - self.settings.dropout
        kept = draws.lt(keep)
        if x.is_cuda:  # from pinned memory, nobody waits for the copy
            kept = kept.pin_memory().to(x.device, non_blocking=True)
        return kept.to(x.dtype).div_(keep)

    def _adam(self, counts: list[Tensor]) -> None:
        """A step of Adam with the gradients as they stand; counts the steps."""
        of = self.gradients.of
        weights, means, squares = ([kind[name] for name in of] for kind in vars(self.state).values())
        adam(
            weights,
            list(of.values()),
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
