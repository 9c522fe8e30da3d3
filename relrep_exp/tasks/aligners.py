"""From configuration to aligners, with PARAM fits kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from relrep_exp.alignment.aligner import AbsoluteAligner, Aligner
from relrep_exp.alignment.anchors import (
    AnchorSet,
    AnchorStrategy,
    Space,
    WhitenedSpace,
    choose_anchors,
    get_anchor_strategy,
)
from relrep_exp.alignment.consensus import Consensus
from relrep_exp.alignment.consensus_aligner import ConsensusAligner
from relrep_exp.alignment.inverse import inverse_relative
from relrep_exp.alignment.pairwise import PairMap, PairwiseAligner
from relrep_exp.alignment.parallel import AnchorsError
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.relative_aligner import (
    FirstRelativeAligner,
    RelativeAligner,
    SingleRelativeAligner,
)
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.alignment.translation import Descent, Kind, translation
from relrep_exp.config.schema import (
    AffineConfig,
    AnchorsConfig,
    Config,
    ConsensusConfig,
    InverseRelativeConfig,
    PairwiseConfig,
    ParamAnchors,
    RelativeConfig,
    SingleParamAnchors,
)
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import user_error
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore
from relrep_exp.tasks.identity import method_name, param_identity
from relrep_exp.training.device import Training

if TYPE_CHECKING:
    from relrep_exp.alignment.param.learn import Param

OnCurve = Callable[[str, int, dict[str, float]], None]


def aligner_factory(
    config: Config, embeddings: Embeddings, training: Training, on_curve: OnCurve
) -> Callable[[], Aligner]:
    """A function that makes a fresh aligner of the configured method.

    Args:
        config: the run.
        embeddings: whose identities key what is cached.
        training: how a fit is run.
        on_curve: told a fit's name, the epoch and its mean losses.
    """
    aligner = config.aligner
    if isinstance(aligner, RelativeConfig):
        return _relative(config, aligner, embeddings, _strategy(config, embeddings, training, on_curve))
    if isinstance(aligner, PairwiseConfig):
        return _pairwise(config, aligner, embeddings)
    if isinstance(aligner, ConsensusConfig):
        return _consensus(config, aligner)
    return AbsoluteAligner


def anchor_count(config: Config, embeddings: Embeddings) -> int:
    """m; with `anchors.m=all` every sample of the support set."""
    if config.anchors.m != "all":
        return config.anchors.m
    paired = embeddings.paired_count
    return min(paired, getattr(config.aligner, "support", paired))


def _relative(
    config: Config, relative: RelativeConfig, embeddings: Embeddings, strategy: AnchorStrategy
) -> Callable[[], Aligner]:
    m = anchor_count(config, embeddings)

    def make_space() -> RelativeSpace:
        return RelativeSpace(
            strategy,
            config.sim.name,
            m=m,
            support=relative.support,
            shrinkage=relative.shrinkage,
            eps=relative.eps,
            seed=config.seed,
        )

    kind = _kind(config.anchors)
    return lambda: kind(method_name(config), make_space, relative.statistics)


def _consensus(config: Config, aligner: ConsensusConfig) -> Callable[[], Aligner]:
    settings = {k: v for k, v in asdict(aligner).items() if k not in ("name", "support")}

    def make() -> Aligner:
        space = Consensus(**settings, seed=config.seed)
        return ConsensusAligner(aligner.name, space, aligner.support, config.seed)

    return make


def _pairwise(config: Config, aligner: PairwiseConfig, embeddings: Embeddings) -> Callable[[], Aligner]:
    """Translations and inverse relative projection."""
    choose = anchor_chooser(config, aligner, embeddings)
    scaling, ridge = aligner.scaling, getattr(aligner, "ridge", 0.0)
    descent = None
    if isinstance(aligner, AffineConfig) and aligner.solver == "gradient":
        descent = Descent(aligner.steps, aligner.lr)

    def estimate(x: Tensor, y: Tensor, pair: str) -> PairMap:
        try:
            if isinstance(aligner, InverseRelativeConfig):
                return inverse_relative(x, y, scaling, ridge)
            return translation(cast(Kind, aligner.name), x, y, scaling, ridge, descent)
        except AnchorsError as error:
            chosen = f"anchors.m={config.anchors.m} of anchors={config.anchors.name}"
            remedy = f"take other anchors ({chosen}), or leave out an encoder"
            raise user_error(f"aligner={aligner.name}, {pair}: {error}", remedy) from error

    return lambda: PairwiseAligner(method_name(config), choose, estimate)


def anchor_chooser(
    config: Config, aligner: PairwiseConfig, embeddings: Embeddings
) -> Callable[[Mapping[str, Space]], AnchorSet]:
    """A function that picks a method's parallel anchors, seeing the spaces that it is given."""
    m, strategy = anchor_count(config, embeddings), get_anchor_strategy(config.anchors.name)
    return lambda spaces: choose_anchors(strategy, spaces, m, support=aligner.support, seed=config.seed)


def _kind(anchors: AnchorsConfig) -> type[RelativeAligner | SingleRelativeAligner]:
    """Which encoders the anchors are chosen on, and how many spaces there are."""
    if not isinstance(anchors, SingleParamAnchors):
        return RelativeAligner
    return FirstRelativeAligner if anchors.learned_on == "first" else SingleRelativeAligner


def _strategy(
    config: Config, embeddings: Embeddings, training: Training, on_curve: OnCurve
) -> AnchorStrategy:
    if not isinstance(config.anchors, ParamAnchors):
        return get_anchor_strategy(config.anchors.name)
    precision = config.runtime.precision
    strategy = cast(
        "Param", get_anchor_strategy("param")
    )  # comes with Lightning, which takes seconds to import
    param = strategy.configured(asdict(config.anchors), get_similarity(config.sim.name), training, precision)
    return _StoredParam(param, config, embeddings, on_curve)


class _StoredParam:
    """PARAM whose fits are kept: one fit serves every run and every process that needs it."""

    def __init__(self, param: Param, config: Config, embeddings: Embeddings, on_curve: OnCurve):
        self.param, self.config, self.embeddings, self.on_curve = param, config, embeddings, on_curve
        self.root = Path(config.paths.outputs) / "checkpoints"
        self.done: dict[str, AnchorSet] = {}  # of this run; PARAM Single asks again for every test encoder
        self.store = TensorStore(self.root)

    def __call__(self, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
        """The anchors, learned unless the store has them."""
        key = content_key(param_identity(self.config, [self.embeddings.keys[name] for name in spaces]))
        if key not in self.done:
            self.done[key] = self._stored(key, spaces, ids, m, seed)
        return self.done[key]

    def _stored(
        self, key: str, spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int
    ) -> AnchorSet:
        def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
            fit = "+".join(spaces)
            training = replace(
                self.param.training,
                checkpoint=self.root / f"{key}.ckpt",
                on_epoch=lambda epoch, losses: self.on_curve(fit, epoch, losses),
            )
            anchors = replace(self.param, training=training)(spaces, ids, m, seed)
            return {"ids": anchors.ids, "weights": anchors.weights}, {"fit": fit, "curves": anchors.curves}

        entry = self.store.get_or_compute(key, compute, recompute=self.config.overwrite == "always")
        return AnchorSet(entry.tensors["ids"], entry.tensors["weights"], entry.describe["curves"])
