"""A classifier of one hidden layer without a norm: what rescaling does to it, its activation does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import scoped_seed

Activation = Literal["relu", "tanh", "cosine"]

WIDTH, EPOCHS, BATCH, LR = 128, 30, 64, 2e-3
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "cosine": torch.cos,
}


class PlainHead(pl.LightningModule):
    """Linear, activation, Linear.

    Args:
        x: training features, [N, k].
        y: classes, [N].
        classes: C.
        activation: of the hidden layer.
    """

    def __init__(self, x: Tensor, y: Tensor, classes: int, activation: Activation):
        super().__init__()
        self.x, self.y, self.activation = x, y, ACTIVATIONS[activation]
        self.first, self.last = nn.Linear(x.shape[1], WIDTH), nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores. x [N, k] -> [N, C]."""
        scores: Tensor = self.last(self.activation(self.first(x)))
        return scores

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Mean cross-entropy of a minibatch. rows [1, B]."""
        return F.cross_entropy(self(self.x[rows[0]]), self.y[rows[0]])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), LR)


def fit_plain_head(
    x: Tensor, y: Tensor, classes: int, activation: Activation, seed: int, training: Training
) -> PlainHead:
    """Train one. x [N, k], y [N]; the seed draws the initial weights and the order of the data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scoped_seed(seed, "plain head"))
        head = PlainHead(x, y, classes, activation).to(x)
    fit(head, EpochBatches(len(y), BATCH, [seed], y.device), EPOCHS, training)
    return head.eval()
