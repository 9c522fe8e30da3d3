"""PARAM: anchors learned as convex mixtures of the support set (Section 3.1, 3.2, Appendices A and D)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from relrep_exp.alignment import param as losses
from relrep_exp.alignment.anchors import ANCHORS, AnchorSet, WhitenedSpace
from relrep_exp.alignment.seeding import generator
from relrep_exp.alignment.similarity import Similarity, get_similarity
from relrep_exp.errors import user_error
from relrep_exp.modules.training import EpochBatches, EpochLosses, Training, fit

LOSSES = ("symnce", "coverage", "orthogonality", "length")


@dataclass(frozen=True)
class ParamSettings:
    """Hyperparameters; the defaults are Table 5.

    Attributes:
        temperature: T of the softmax over each row of logits.
        epochs: passes over the training samples.
        lr: Adam's learning rate.
        batch: samples in a step.
        coverage_chunk: samples whose soft assignments are held at once; bounds memory.
        nce_weight: weight of symNCE.
        nce_temperature: tau of symNCE.
        coverage_weight: weight of the coverage loss.
        coverage_temperature: tau_cov of its soft assignment.
        orthogonality_weight: weight of the orthogonality loss.
        length_weight: weight of the length loss.
        init_std: standard deviation of the normal distribution that the logits start from. At 0 the rows of P
            are equal and their gradients too: all anchors start as the support's mean and stay one.
    """

    temperature: float = 2.9
    epochs: int = 95
    lr: float = 0.03
    batch: int = 1024
    coverage_chunk: int = 16384
    nce_weight: float = 0.70
    nce_temperature: float = 0.10
    coverage_weight: float = 11.3
    coverage_temperature: float = 2.7
    orthogonality_weight: float = 0.27
    length_weight: float = 1.2
    init_std: float = 1.0

    def weights(self) -> dict[str, float]:
        """Weight of each loss, in the order of `LOSSES`."""
        values = (self.nce_weight, self.coverage_weight, self.orthogonality_weight, self.length_weight)
        return dict(zip(LOSSES, values, strict=True))


@dataclass(frozen=True)
class Param:
    """PARAM as an anchor strategy: call it with the training encoders' spaces.

    Given several encoders it is PARAM Multi (all four losses), given one it is PARAM Single.

    Attributes:
        settings: hyperparameters.
        similarity: gives the relative representations that symNCE compares.
        training: progress, checkpoint, live curves.
    """

    settings: ParamSettings = field(default_factory=ParamSettings)
    similarity: Similarity = field(default_factory=lambda: get_similarity("wip"))
    training: Training = field(default_factory=Training)

    def __call__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
        """Learn P [m, K] on the given spaces.

        Raises:
            UserError: a loss became NaN or infinite.
        """
        module = ParamModule(spaces, ids, m, seed, self)
        batches = EpochBatches(len(module.whitened), self.settings.batch, [seed], module.whitened.device)
        fit(module, batches, self.settings.epochs, self.training)
        with torch.no_grad():
            weights = module.mixture().cpu()
        return AnchorSet(ids.cpu(), weights, module.losses.curves)


class ParamModule(pl.LightningModule):
    """P as unconstrained logits, and the objective of Eq. 3 over all training encoders at once."""

    def __init__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int, strategy: Param):
        super().__init__()
        self.strategy, self.settings, self.spaces = strategy, strategy.settings, list(spaces.values())
        self.dims = [space.whitened.shape[1] for space in self.spaces]
        self.whitened = torch.cat([space.whitened for space in self.spaces], dim=1)
        self.ids = ids.to(self.whitened.device)
        self.support = self.whitened[self.ids]
        self.squares = torch.stack([space.whitened.square().sum(1) for space in self.spaces])
        self.dims_tensor = self.squares.new_tensor(self.dims)
        self.points = [] if strategy.similarity == get_similarity("wip") else self._points()
        start = self.settings.init_std * torch.randn(m, len(ids), generator=generator(seed, "param logits"))
        self.logits = torch.nn.Parameter(start.to(self.whitened))
        self.losses = EpochLosses(LOSSES)

    def mixture(self) -> Tensor:
        """P, row-stochastic, [m, K]."""
        return losses.mixture(self.logits, self.settings.temperature)

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Eq. 3 on the samples `rows` [1, B]."""
        terms = self.objective(rows[0])
        self.losses.add(list(terms.values()))
        weights = self.settings.weights()
        return torch.stack([weights[name] * loss for name, loss in terms.items()]).sum()

    def objective(self, rows: Tensor) -> dict[str, Tensor]:
        """The four losses, unweighted, on the samples `rows` [B], by name in the order of `LOSSES`."""
        s, weights = self.settings, self.mixture()
        anchors = torch.split(weights @ self.support, self.dims, dim=1)
        x = torch.split(self.whitened[rows], self.dims, dim=1)
        products = torch.stack([part @ a.T for part, a in zip(x, anchors, strict=True)])
        gram = torch.stack([a @ a.T for a in anchors])
        squares = gram.diagonal(dim1=1, dim2=2)
        cover = losses.coverage(
            products,
            self.squares[:, rows],
            squares,
            self.dims_tensor,
            s.coverage_temperature,
            s.coverage_chunk,
        )
        single = [cover, losses.orthogonality(gram), losses.length(squares)]
        relative = self._relative(rows, weights) if self.points else products
        nce = losses.sym_nce(relative, s.nce_temperature)
        return dict(zip(LOSSES, [nce, *(loss.mean() for loss in single)], strict=True))

    def _points(self) -> list[Tensor]:
        """All samples as a similarity that is not WIP compares them, [N, d_i] for each encoder."""
        return [self.strategy.similarity.points(space.x, space.whitening) for space in self.spaces]

    def _relative(self, rows: Tensor, weights: Tensor) -> Tensor:
        """RR under a similarity that is not WIP, [E, B, m]."""
        similarity = self.strategy.similarity
        anchors = [similarity.points(weights @ space.x[self.ids], space.whitening) for space in self.spaces]
        pairs = zip(self.points, anchors, strict=True)
        return torch.stack([similarity.compare(points[rows], a) for points, a in pairs])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on the logits (Table 5)."""
        return torch.optim.Adam(self.parameters(), lr=self.settings.lr, fused=True)

    def on_train_epoch_end(self) -> None:
        """Close the epoch's curves; stop at the first loss that is not finite."""
        means = self.losses.close_epoch()
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise user_error(
                f"PARAM diverged in epoch {self.current_epoch}: {', '.join(bad)} is not finite",
                f"lower anchors.lr (now {self.settings.lr:g}) or raise the temperatures; nothing is recorded",
            )
        if self.strategy.training.on_epoch is not None:
            self.strategy.training.on_epoch(self.current_epoch, means)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves with the weights."""
        checkpoint["curves"] = self.losses.curves

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curves that were kept."""
        self.losses.curves = checkpoint["curves"]


def param_from(hyperparameters: Mapping[str, Any], similarity: Similarity, training: Training) -> Param:
    """A strategy from a mapping that may hold more than hyperparameters."""
    names = {f.name for f in fields(ParamSettings)}
    chosen = {name: value for name, value in hyperparameters.items() if name in names}
    return Param(ParamSettings(**chosen), similarity, training)


ANCHORS["param"] = Param()
