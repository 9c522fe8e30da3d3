"""PARAM: anchors learned as convex mixtures of the support set (Section 3.1, 3.2, Appendices A and D)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import islice
from typing import Any, Literal

import torch
from omegaconf import OmegaConf
from torch import Tensor

from relrep_exp.alignment.agreement import agree
from relrep_exp.alignment.anchors import AnchorSet, WhitenedSpace
from relrep_exp.alignment.param import fast
from relrep_exp.alignment.param.fast import Precision, Products
from relrep_exp.alignment.parameters import check_parameters
from relrep_exp.alignment.similarity import SIMILARITIES, Similarity
from relrep_exp.alignment.whitening import Moments
from relrep_exp.errors import UserError, user_error
from relrep_exp.store.files import CONF
from relrep_exp.training.device import Training
from relrep_exp.training.fit import CurvesModule, EpochBatches, fit
from relrep_exp.training.numbers import as_shipped
from relrep_exp.training.seeding import generator

_LOG = logging.getLogger("relrep_exp")
LOSSES = ("symnce", "coverage", "orthogonality", "length")
ANCHORS_A_DIMENSION = 4  # of start=consensus: two of them start from it, two from normal numbers


# Table 5 stands in this file alone; the first argument of its interpolation of `batch` is the paper's number.
_TABLE_5: Any = OmegaConf.to_container(OmegaConf.load(CONF / "anchors" / "param.yaml"))
_TABLE_5["batch"] = int(_TABLE_5["batch"].removeprefix("${param_batch:").partition(",")[0])


@dataclass(frozen=True)
class ParamSettings:
    """Hyperparameters; the defaults are Table 5, as conf/anchors/param.yaml has it.

    Attributes:
        temperature: T of the softmax over each row of logits.
        epochs: passes over the training samples; with `pairs=support` as many steps, of passes over those.
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
        pairs: of which samples several encoders are compared, and the other losses are taken then: `all`, as
            in Algorithm 1, or those of the support alone, the only ones then that must be parallel.
    """

    temperature: float = _TABLE_5["temperature"]
    epochs: int = _TABLE_5["epochs"]
    lr: float = _TABLE_5["lr"]
    batch: int = _TABLE_5["batch"]
    coverage_chunk: int = _TABLE_5["coverage_chunk"]
    nce_weight: float = _TABLE_5["nce_weight"]
    nce_temperature: float = _TABLE_5["nce_temperature"]
    coverage_weight: float = _TABLE_5["coverage_weight"]
    coverage_temperature: float = _TABLE_5["coverage_temperature"]
    orthogonality_weight: float = _TABLE_5["orthogonality_weight"]
    length_weight: float = _TABLE_5["length_weight"]
    init_std: float = _TABLE_5["init_std"]
    start: Literal["normal", "consensus"] = _TABLE_5["start"]
    pairs: Literal["all", "support"] = "support"

    def __post_init__(self) -> None:
        check_parameters(self, "ParamSettings")

    def weights(self) -> dict[str, float]:
        """Name the weight of each loss, in the order of `LOSSES`."""
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
        single: PARAM Single also where it is given several encoders: P is learned on the first alone.
    """

    settings: ParamSettings = field(default_factory=ParamSettings)
    similarity: Similarity = SIMILARITIES["wip"]
    training: Training = field(default_factory=Training)
    precision: Precision = "float32"
    single: bool = False

    def __post_init__(self) -> None:
        check_parameters(self, "Param")

    def comparing(self, similarity: Similarity) -> Param:
        """Make another whose symNCE compares by a similarity."""
        return replace(self, similarity=similarity)

    def configured(
        self,
        hyperparameters: Mapping[str, Any],
        similarity: Similarity,
        training: Training,
        precision: Precision = "float32",
    ) -> Param:
        """Make another from a mapping that may hold more than hyperparameters."""
        names = {f.name for f in fields(ParamSettings)}
        chosen = {name: value for name, value in hyperparameters.items() if name in names}
        return Param(ParamSettings(**chosen), similarity, training, precision)

    @as_shipped()
    def __call__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
        """Learn P [m, K] on the given spaces.

        Raises:
            UserError: a loss became NaN or infinite.
        """
        if self.single:
            spaces = dict(islice(spaces.items(), 1))
        s, several, count = self.settings, len(spaces) > 1, len(next(iter(spaces.values())).x)
        columns = ids
        if s.pairs == "support" and several:  # the other rows have a part in the statistics alone
            spaces = {name: space.only(ids) for name, space in spaces.items()}
            columns = torch.arange(len(ids))
        module = ParamModule(spaces, columns, m, seed, self)
        device = module.whitened.device
        if module.products.emulated(device):
            warn_of_rounding()
        with module.products.on(device):
            batches = EpochBatches(len(module.whitened), s.batch, [seed], device)
            steps = s.epochs * -(-count // s.batch)
            fit(module, batches, -(-steps // len(batches)), self.training)
        with torch.no_grad():
            weights = module.mixture().cpu()
        paired = len(module.whitened) if several and s.nce_weight else 0
        return AnchorSet(ids.cpu(), weights, module.losses.curves, paired)


@cache
def warn_of_rounding() -> None:
    """Say, once, that bf16 saves no time here."""
    _LOG.warning(
        "runtime.precision=bf16: this processor has no bfloat16 instructions; P is what they would give, and "
        "learning it takes as long as with float32"
    )


class ParamModule(CurvesModule):
    """P as unconstrained logits, and the objective of Eq. 3 over all training encoders at once.

    The encoders' embeddings stand side by side on the device where they are; no step waits for it.

    Attributes:
        logits: of P, the parameter, [m, K].
        dims: d of each encoder.
        whitened: whitened coordinates, [N, sum d], as operands of products.
        squares: |x_w|^2, [E, N].
        support: what P mixes, likewise: whitened embeddings of the support, [K, sum d]; under a similarity
            that is not WIP centred ones beside them, [K, 2 sum d], as P X = P (X - mu) + mu.
        points: all samples as a similarity that is not WIP compares them, [N, d_i] each; none for WIP.
    """

    def __init__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int, strategy: Param):
        super().__init__(LOSSES, strategy.training.on_epoch, strategy.settings.lr)  # Table 5
        self.settings, self.similarity = strategy.settings, strategy.similarity
        self.products = Products(strategy.precision)
        whitened = torch.cat([space.whitened for space in spaces.values()], dim=1)
        ids = ids.to(whitened.device)
        self.dims = tuple(space.whitened.shape[1] for space in spaces.values())
        self._widths = whitened.new_tensor(self.dims)
        self.whitened = self.products.operand(whitened)
        self.squares = torch.stack([space.whitened.square().sum(1) for space in spaces.values()])
        mixed, self.points = [whitened[ids]], list[Tensor]()
        self._whitenings = [space.whitening for space in spaces.values()]
        if self.similarity != SIMILARITIES["wip"]:
            mixed += [(space.x[ids] - space.whitening.mean).to(whitened.dtype) for space in spaces.values()]
            self.points = [self.similarity.points(space.x, space.whitening) for space in spaces.values()]
        self.support = self.products.operand(torch.cat(mixed, dim=1))
        normal = torch.randn(m, len(ids), generator=generator(seed, "param logits"), dtype=torch.float32)
        start = (self.settings.init_std * normal).to(self.squares)
        if self.settings.start == "consensus":
            parallel = {name: space.whitened[ids] for name, space in spaces.items()}
            start = with_consensus(start, parallel, self.settings.temperature)
        self.logits = torch.nn.Parameter(start)

    def training_step(self, rows: Tensor, _: int) -> dict[str, Any]:
        """Compute Eq. 3 on the samples `rows` [1, B], and its terms."""
        weights, terms = self.settings.weights(), self.objective(rows[0])
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": loss, "terms": list(terms.values())}

    def objective(self, rows: Tensor) -> dict[str, Tensor]:
        """Compute the four losses, unweighted, on the samples `rows` [B], by name as in `LOSSES`."""
        s = self.settings
        mixed: Tensor = fast.Mix.apply(self.mixture(), self.support, self.products)
        width = sum(self.dims)
        x, anchors = self.whitened.index_select(0, rows), mixed[:, :width]
        across, gram = fast.Compare.apply(x, anchors, self.dims, self.products)
        squares = gram.diagonal(dim1=1, dim2=2)
        x_squares = self.squares.index_select(1, rows)
        cover = fast.coverage(
            across, x_squares, squares, self._widths, s.coverage_temperature, s.coverage_chunk
        )
        single = [cover, fast.orthogonality(gram), fast.length(squares)]
        relative = across
        if self.points:  # another similarity than WIP compares the samples with its own form of the anchors
            centred = zip(mixed[:, width:].split(self.dims, dim=1), self._whitenings, strict=True)
            prepared = [self.similarity.points(a + w.mean.to(a.dtype), w) for a, w in centred]
            pairs = zip(self.points, prepared, strict=True)
            relative = torch.stack([self.similarity.compare(x.index_select(0, rows), a) for x, a in pairs])
        nce = fast.sym_nce(relative, s.nce_temperature, self.products)
        return dict(zip(LOSSES, [nce, *(loss.mean() for loss in single)], strict=True))

    def mixture(self) -> Tensor:
        """Make P = softmax(logits / T) row by row, row-stochastic, [m, K] (Appendix D)."""
        return torch.softmax(self.logits / self.settings.temperature, dim=1)

    def diverged(self, names: str) -> UserError:
        """Tell which losses are not finite; nothing is recorded."""
        precision = self.products.precision
        precise = "" if precision == "float32" else f"learn in float32 (now runtime.precision={precision}), "
        return user_error(
            f"PARAM diverged in epoch {self.current_epoch}: {names} is not finite",
            f"{precise}lower anchors.lr (now {self.settings.lr:g}) or raise the temperatures; "
            "nothing is recorded",
        )


def with_consensus(logits: Tensor, support: Mapping[str, Tensor], temperature: float) -> Tensor:
    """Set the leading rows of logits to +z_k / -z_k times T, a pair for each of the m / 4 leading dimensions.

    z_k [K] is the k-th coordinate of the consensus of the support (docs/consensus.md), standardised. The
    pair of anchors mixes the samples by exp(z_k) and exp(-z_k), so that it lies on both sides of the mean
    along what all encoders agree on. The other rows stay as they are, as do all where m < 4.

    Args:
        logits: [m, K].
        support: whitened embeddings of the same K samples of each training encoder, [K, d_i].
        temperature: T of the softmax over each row.
    """
    moments = Moments.of(support)
    agreement = agree(moments, moments.dims)
    directions = agreement.directions[:, : len(logits) // ANCHORS_A_DIMENSION]
    coordinates = (torch.cat(list(support.values()), dim=1).double() - moments.mean) @ directions
    z = temperature * coordinates.T / coordinates.std(0, correction=0)[:, None]
    pairs = torch.stack([z, -z], dim=1).flatten(0, 1).to(logits)
    return torch.cat([pairs, logits[len(pairs) :]])


PARAM, PARAM_SINGLE = Param(), Param(single=True)  # as `get_anchor_strategy` has them
