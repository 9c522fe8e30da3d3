"""Test what inverse relative projection (arXiv:2406.15057) supposes: cosines invert, scale is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.inverse import reconstruction
from relrep_exp.alignment.metrics import rescaling as scale_study
from relrep_exp.alignment.parallel import AnchorsError, Parallel
from relrep_exp.config.schema import InverseRelativeConfig, RescalingTask
from relrep_exp.errors import user_error
from relrep_exp.tasks.aligners import parallel_anchors, pruning_of
from relrep_exp.tasks.decoders.classifiers import Scaling
from relrep_exp.tasks.identity import method_name
from relrep_exp.tasks.work import Result, Work
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import scoped_seed

Activation = Literal["relu", "tanh", "cosine"]

WIDTH, EPOCHS, BATCH, LR = 128, 30, 64, 2e-3
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "cosine": torch.cos,
}
FACTORS = (0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0, 100.0)


def invertibility(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Make each encoder's test embeddings again from their cosines to its own anchors: how much is left?

    Both in the coordinates that `aligner.scaling` gives, where the norm is what a cosine does not hold.

    Args:
        work: the run; each encoder is measured alone.
        aligners: none.

    Raises:
        UserError: anchors that say nothing, as all are equal.
    """
    result, method = Result(), method_name(work.config)
    choose, settings = parallel_anchors(work), cast(InverseRelativeConfig, work.config.aligner)
    for name, space in work.train.items():
        with work.timed("align"):
            chosen = choose({name: space})
            anchors = chosen.mix(space.x[chosen.ids.to(space.x.device)])
        with work.timed("measure"):
            try:
                scale = Parallel.of(anchors, anchors, settings.scaling).before
                points, told = scale(work.test[name]), scale(anchors)
                found = reconstruction(points, told, settings.ridge, pruning_of(work))
            except AnchorsError as error:
                remedy = "take other anchors, or leave out this encoder"
                raise user_error(f"{name}: {error}", remedy) from error
            kept = ("cosine", "relative_error", "rank", "condition")
            result.add(name, name, method, {f"reconstruction_{key}": found[key] for key in kept})
    return result


def rescaling(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Measure the accuracy of each encoder's own decoder on its test embeddings times each of the factors.

    Embeddings are standardised by their training rows before; the decoder is trained at factor 1.

    Args:
        work: the run; embeddings have labels, and the task says the decoder's activation.
        aligners: none.
    """
    result, method, seed = Result(), method_name(work.config), work.config.seed
    classes = work.embeddings.classes
    activation = cast(RescalingTask, work.config.task).activation
    for name, corpus in work.embeddings.tasks.items():
        assert corpus.labels is not None, "this task is checked to have labels"
        train = corpus.is_train
        scale = Scaling.fit("per_feature", corpus.x[train])
        x, y = scale(corpus.x[train]), corpus.labels[train]
        with work.timed("decoders"):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(scoped_seed(seed, "plain head"))
                head = PlainHead(x, y, classes, activation).to(x)
            fit(head, EpochBatches(len(y), BATCH, [seed], y.device), EPOCHS, work.training)
            head.eval()
        with work.timed("measure"):
            test, labels = scale(corpus.x[~train]), corpus.labels[~train]
            found = scale_study(head, test, labels, FACTORS)
            result.add(name, name, method, {f"accuracy@{f:g}": value for f, value in found.items()})
    return result


class PlainHead(pl.LightningModule):
    """Linear, activation, Linear, and no norm: what rescaling does to it, its activation does.

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
