"""From configuration to aligners, with PARAM fits kept in the store.

Each function is given the run and returns one that makes a fresh aligner of the configured method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from relrep_exp.alignment.aligner import (
    AbsoluteAligner,
    Aligner,
    FirstRelativeAligner,
    PairMap,
    PairwiseAligner,
    RelativeAligner,
    SingleRelativeAligner,
)
from relrep_exp.alignment.anchors import (
    AnchorSet,
    AnchorStrategy,
    Space,
    WhitenedSpace,
    choose_anchors,
    get_anchor_strategy,
)
from relrep_exp.alignment.consensus import Consensus
from relrep_exp.alignment.gpa import Gpa
from relrep_exp.alignment.inverse import Pruning, inverse_relative
from relrep_exp.alignment.parallel import AnchorsError
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.ridge_cca import RidgeCca
from relrep_exp.alignment.shared import SharedSpace, SharedSpaceAligner
from relrep_exp.alignment.similarity import SIMILARITIES
from relrep_exp.alignment.standard import Standardise
from relrep_exp.alignment.standardised import StandardisedAligner
from relrep_exp.alignment.translation import Descent, translation
from relrep_exp.config.schema import (
    AffineConfig,
    ConsensusConfig,
    GpaConfig,
    InverseRelativeConfig,
    LinearMapConfig,
    OrthoConfig,
    PairwiseConfig,
    ParamAnchors,
    RelativeConfig,
    RidgeCcaConfig,
)
from relrep_exp.errors import user_error
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore
from relrep_exp.tasks.identity import method_name, param_identity
from relrep_exp.tasks.work import Work

if TYPE_CHECKING:
    from relrep_exp.alignment.param.learn import Param

MakeAligner = Callable[[], Aligner]


def absolute(work: Work) -> MakeAligner:
    """Align nothing."""
    return AbsoluteAligner


def relative(work: Work) -> MakeAligner:
    """Represent by the configured similarity to the configured anchors."""
    config, settings, m = work.config, cast(RelativeConfig, work.config.aligner), anchor_count(work)
    learned = isinstance(config.anchors, ParamAnchors)
    space = partial(
        RelativeSpace,
        kept_param(work) if learned else get_anchor_strategy(config.anchors.name),
        SIMILARITIES[config.sim.name],
        m=m,
        support=settings.support,
        shrinkage=settings.shrinkage,
        standardise=settings.standardise,
        eps=settings.eps,
        seed=config.seed,
    )
    # Which encoders the anchors are chosen on, and how many spaces there are: PARAM Single alone says so.
    kinds = {"decoder": SingleRelativeAligner, "first": FirstRelativeAligner}
    kind = kinds.get(getattr(config.anchors, "learned_on", ""), RelativeAligner)
    return partial(kind, method_name(config), space, settings.statistics)


def kept_param(work: Work) -> AnchorStrategy:
    """Learn PARAM, whose fits are kept: one fit serves every run and every process that needs it."""
    config, root = work.config, Path(work.config.paths.outputs) / "checkpoints"
    store, similarity = TensorStore(root), SIMILARITIES[config.sim.name]
    done: dict[str, AnchorSet] = {}  # of this run; PARAM Single asks again for every test encoder

    def learned(spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
        paired, own = work.embeddings.keys, work.embeddings.own_keys
        encoders = {paired[name]: space.shrinkage for name, space in spaces.items()}
        key = content_key(param_identity(config, encoders, [own[name] for name in spaces]))
        if key in done:
            return done[key]

        def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
            fit, watch = "+".join(spaces), partial(work.on_curve, "+".join(spaces))
            how = replace(work.training, checkpoint=root / f"{key}.ckpt", on_epoch=watch)
            param = cast("Param", get_anchor_strategy("param"))  # Lightning, which takes seconds to import
            learn = param.configured(asdict(config.anchors), similarity, how, config.runtime.precision)
            anchors = learn(spaces, ids, m, seed)
            told = {"fit": fit, "curves": anchors.curves, "paired": anchors.used_points}
            return {"ids": anchors.ids, "weights": anchors.weights}, told

        entry = store.get_or_compute(key, compute, recompute=config.overwrite == "always")
        known = entry.describe["curves"], entry.describe["paired"]
        done[key] = AnchorSet(entry.tensors["ids"], entry.tensors["weights"], *known)
        return done[key]

    return learned


def translated(work: Work) -> MakeAligner:
    """Translate one latent space into another: affine, linear, l_ortho, ortho or parseval."""
    settings = cast(OrthoConfig | LinearMapConfig | AffineConfig, work.config.aligner)
    descent = None
    if getattr(settings, "solver", "closed") == "gradient":
        descent = Descent(settings.steps, settings.lr)  # type: ignore[union-attr]  # affine alone has a solver
    ridge = getattr(settings, "ridge", 0.0)

    def estimate(x: Tensor, y: Tensor) -> PairMap:
        return translation(settings.name, x, y, settings.scaling, ridge, descent)

    return _pairwise(work, estimate)


def inverse(work: Work) -> MakeAligner:
    """Project into the relative space of one encoder and out of that of another."""
    settings, pruning = cast(InverseRelativeConfig, work.config.aligner), pruning_of(work)
    return _pairwise(work, lambda x, y: inverse_relative(x, y, settings.scaling, settings.ridge, pruning))


def pruning_of(work: Work) -> Pruning:
    """Read how inverse relative projection prunes its anchors."""
    settings = cast(InverseRelativeConfig, work.config.aligner)
    return Pruning(settings.delta, settings.subspaces, work.config.seed)


def shared(work: Work) -> MakeAligner:
    """Make a space of all training encoders: consensus, Procrustes mean or canonical variates."""
    settings, seed = cast(ConsensusConfig | GpaConfig | RidgeCcaConfig, work.config.aligner), work.config.seed
    others = ("name", "support", "standardise")
    chosen = {name: value for name, value in asdict(settings).items() if name not in others}
    drawn: dict[str, Any] = {} if isinstance(settings, RidgeCcaConfig) else {"seed": seed}
    if isinstance(settings, ConsensusConfig):
        drawn["standardise"] = (
            "none"  # which is done outside, by all unlabelled rows, not those of the support
        )
    kinds: dict[str, Callable[..., SharedSpace]] = {
        "consensus": Consensus,
        "gpa": Gpa,
        "ridge_cca": RidgeCca,
    }
    space = kinds[settings.name]

    def make() -> Aligner:
        return SharedSpaceAligner(settings.name, space(**chosen, **drawn), settings.support, seed)

    return standardised(settings.standardise, make)


def parallel_anchors(work: Work) -> Callable[[Mapping[str, Space]], AnchorSet]:
    """Make a function that picks a method's parallel anchors, seeing the spaces that it is given."""
    config, m = work.config, anchor_count(work)
    strategy, support = get_anchor_strategy(config.anchors.name), cast(PairwiseConfig, config.aligner).support
    return lambda spaces: choose_anchors(strategy, spaces, m, support=support, seed=config.seed)


def anchor_count(work: Work) -> int:
    """Count the anchors, m; with `anchors.m=all` every sample of the support set."""
    if work.config.anchors.m != "all":
        return work.config.anchors.m
    paired = work.embeddings.paired_count
    return min(paired, getattr(work.config.aligner, "support", paired))


def _pairwise(work: Work, estimate: Callable[[Tensor, Tensor], PairMap]) -> MakeAligner:
    """Estimate a map between every two encoders; anchors that do not allow one are told."""
    config = work.config

    def told(x: Tensor, y: Tensor, pair: str) -> PairMap:
        try:
            return estimate(x, y)
        except AnchorsError as error:
            chosen = f"anchors.m={config.anchors.m} of anchors={config.anchors.name}"
            remedy = f"take other anchors ({chosen}), or leave out an encoder"
            raise user_error(f"aligner={config.aligner.name}, {pair}: {error}", remedy) from error

    make = partial(PairwiseAligner, method_name(config), parallel_anchors(work), told)
    return standardised(cast(PairwiseConfig, config.aligner).standardise, make)


def standardised(how: Standardise, make: MakeAligner) -> MakeAligner:
    """Standardise what an aligner's decoders read, where the configuration says so."""
    return make if how == "none" else lambda: StandardisedAligner(make(), how)
