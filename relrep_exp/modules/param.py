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
        n, device = module.shape()
        batches = EpochBatches(n, self.settings.batch, [seed], device)
        fit(module, batches, self.settings.epochs, self.training)
        with torch.no_grad():
            weights = module.mixture().cpu()
        return AnchorSet(ids.cpu(), weights, module.losses.curves)


@dataclass(frozen=True)
class _Encoder:
    """One training encoder inside the fit: whitened samples and support, and the same as RR needs them."""

    whitened: Tensor
    squares: Tensor
    whitened_support: Tensor
    points: Tensor
    support: Tensor
    space: WhitenedSpace


class ParamModule(pl.LightningModule):
    """P as unconstrained logits, and the objective of Eq. 3."""

    def __init__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int, strategy: Param):
        super().__init__()
        self.strategy, self.settings = strategy, strategy.settings
        self.shares_products = strategy.similarity == get_similarity("wip")
        self.encoders = [self._encoder(space, ids) for space in spaces.values()]
        start = torch.randn(m, len(ids), generator=generator(seed, "param logits"))
        self.logits = torch.nn.Parameter(start.to(self.encoders[0].whitened))
        self.losses = EpochLosses(LOSSES)

    def shape(self) -> tuple[int, torch.device]:
        """Number of training samples and where they are."""
        return len(self.encoders[0].whitened), self.encoders[0].whitened.device

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
        relative, single = [], []
        for encoder in self.encoders:
            x, anchors = encoder.whitened[rows], weights @ encoder.whitened_support
            products, squares, norms = x @ anchors.T, encoder.squares[rows], anchors.norm(dim=1)
            cover = losses.coverage(
                products, squares, norms.square(), x.shape[1], s.coverage_temperature, s.coverage_chunk
            )
            orth = losses.orthogonality(anchors / norms[:, None])
            single.append(torch.stack([cover, orth, losses.length(norms)]))
            relative.append(products if self.shares_products else self._relative(encoder, rows, weights))
        nce = losses.sym_nce(relative, s.nce_temperature)
        return dict(zip(LOSSES, [nce, *torch.stack(single).mean(0)], strict=True))

    def _relative(self, encoder: _Encoder, rows: Tensor, weights: Tensor) -> Tensor:
        """RR under a similarity that is not WIP, [B, m]."""
        similarity = self.strategy.similarity
        anchors = similarity.points(weights @ encoder.support, encoder.space.whitening)
        return similarity.compare(encoder.points[rows], anchors)

    def _encoder(self, space: WhitenedSpace, ids: Tensor) -> _Encoder:
        ids = ids.to(space.x.device)
        points = self.strategy.similarity.points(space.x, space.whitening)
        w = space.whitened
        return _Encoder(w, w.square().sum(1), w[ids], points, space.x[ids], space)

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
