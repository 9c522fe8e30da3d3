"""PARAM: anchors learned as convex mixtures of the support set (Section 3.1, 3.2, Appendices A and D)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import ANCHORS, AnchorSet, WhitenedSpace
from relrep_exp.alignment.products import Precision, Products
from relrep_exp.alignment.similarity import Similarity, get_similarity
from relrep_exp.training.batches import EpochBatches, Training

if TYPE_CHECKING:
    from relrep_exp.alignment.param.module import ParamModule

_LOG = logging.getLogger("relrep_exp")
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
        start: `normal`, or `consensus`: half of the anchors begin in pairs on both sides of the mean, along
            the leading dimensions of the training encoders' consensus; the others as without it.
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
    start: Literal["normal", "consensus"] = "normal"

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
        precision: of the matrix products; softmax, losses and P are in float32.
    """

    settings: ParamSettings = field(default_factory=ParamSettings)
    similarity: Similarity = field(default_factory=lambda: get_similarity("wip"))
    training: Training = field(default_factory=Training)
    precision: Precision = "float32"

    def __call__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
        """Learn P [m, K] on the given spaces.

        Raises:
            UserError: a loss became NaN or infinite, or a process that shares the fit was killed.
        """
        from relrep_exp.alignment.param.module import ParamModule
        from relrep_exp.training.fit import fit  # Lightning takes seconds to import
        from relrep_exp.training.together import fit_together

        module = ParamModule(spaces, ids, m, seed, self)
        device = module.samples.whitened.device
        if Products(self.precision).emulated(device):
            warn_of_rounding()
        batches = EpochBatches(len(module.samples.whitened), self.settings.batch, [seed], device)
        if self._worth_sharing(module):
            fit_together("PARAM", module, batches, self.settings.epochs, self.training)
        else:
            fit(module, batches, self.settings.epochs, self.training)
        with torch.no_grad():
            weights = module.mixture().cpu()
        return AnchorSet(ids.cpu(), weights, module.losses.curves)

    def _worth_sharing(self, module: ParamModule) -> bool:
        """Whether a step is so much work that several processes, where there are any, save time."""
        several = self.training.devices > 1
        return several and module.step_work().gflop >= self.training.share_gflop


@cache
def warn_of_rounding() -> None:
    """Say, once, that bf16 saves no time here."""
    _LOG.warning(
        "runtime.precision=bf16: this processor has no bfloat16 instructions; P is what they would give, and "
        "learning it takes as long as with float32"
    )


def param_from(
    hyperparameters: Mapping[str, Any],
    similarity: Similarity,
    training: Training,
    precision: Precision = "float32",
) -> Param:
    """A strategy from a mapping that may hold more than hyperparameters."""
    names = {f.name for f in fields(ParamSettings)}
    chosen = {name: value for name, value in hyperparameters.items() if name in names}
    return Param(ParamSettings(**chosen), similarity, training, precision)


ANCHORS["param"] = Param()
