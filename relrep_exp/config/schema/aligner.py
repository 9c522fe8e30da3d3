"""conf/aligner: how a decoder of one encoder reads another."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import Count, Kinds, NonNegative, Positive, Share, strict

Support = Annotated[int, Field(ge=2)]
Standardise = Literal["none", "mean", "mean_variance"]
Preprocessing = Literal["standard", "center", "l2", "none"]
Ridge = NonNegative | Literal["auto"]


@dataclass(frozen=True, config=strict)
class AbsoluteConfig:
    """conf/aligner/absolute."""

    uses: ClassVar[tuple[str, ...]] = ()  # the groups of the configuration that are parts of the method
    least_parallel: ClassVar[int] = 0  # samples that its estimates need; 0: nothing is estimated

    name: Literal["absolute"]


@dataclass(frozen=True, config=strict)
class RelativeConfig:
    """conf/aligner/relative: support set and statistics shared by anchors and similarity."""

    uses: ClassVar[tuple[str, ...]] = ("anchors", "sim")
    least_parallel: ClassVar[int] = 1

    name: Literal["relative"]
    support: Support = 5000
    shrinkage: Share | Literal["auto"] = 0.15
    standardise: Standardise = "none"
    eps: NonNegative | Literal["auto"] = 5e-8
    statistics: Literal["train", "support"] = "train"


@dataclass(frozen=True, config=strict)
class PairwiseConfig:
    """What methods share that take one encoder's space to another's, by parallel anchors alone."""

    uses: ClassVar[tuple[str, ...]] = ("anchors",)
    least_parallel: ClassVar[int] = 2

    name: str
    support: Support = 5000
    standardise: Standardise = "none"
    scaling: Preprocessing = "standard"


@dataclass(frozen=True, config=strict)
class OrthoConfig(PairwiseConfig):
    """conf/aligner/ortho and parseval."""

    name: Literal["ortho", "parseval"]


@dataclass(frozen=True, config=strict)
class LinearMapConfig(PairwiseConfig):
    """conf/aligner/linear and l_ortho."""

    name: Literal["linear", "l_ortho"]
    ridge: Ridge = 0.0


@dataclass(frozen=True, config=strict)
class AffineConfig(PairwiseConfig):
    """conf/aligner/affine."""

    name: Literal["affine"]
    ridge: Ridge = 0.0
    solver: Literal["closed", "gradient"] = "closed"
    steps: Count = 300
    lr: Positive = 1e-3


@dataclass(frozen=True, config=strict)
class InverseRelativeConfig(PairwiseConfig):
    """conf/aligner/inverse_relative."""

    name: Literal["inverse_relative"]
    scaling: Preprocessing = "center"
    ridge: Ridge = 0.0
    delta: Share = 0.0
    subspaces: Count = 1


@dataclass(frozen=True, config=strict)
class ConsensusConfig:
    """conf/aligner/consensus."""

    uses: ClassVar[tuple[str, ...]] = ()
    least_parallel: ClassVar[int] = 4

    name: Literal["consensus"]
    support: Annotated[int, Field(ge=4)] = 5000
    m: Count | Literal["auto"] = "auto"
    ridge: Positive | Literal["auto"] = "auto"
    features: Annotated[int, Field(ge=0)] = 400
    shrinkage: Share | Literal["auto"] = 0.15
    standardise: Standardise = "none"
    eps: NonNegative | Literal["auto"] = 5e-8


@dataclass(frozen=True, config=strict)
class GpaConfig:
    """conf/aligner/gpa."""

    uses: ClassVar[tuple[str, ...]] = ()
    least_parallel: ClassVar[int] = 2

    name: Literal["gpa"]
    support: Support = 5000
    scaling: Preprocessing = "standard"
    correction: Literal["none", "directions"] = "none"
    standardise: Standardise = "none"


@dataclass(frozen=True, config=strict)
class RidgeCcaConfig:
    """conf/aligner/ridge_cca."""

    uses: ClassVar[tuple[str, ...]] = ()
    least_parallel: ClassVar[int] = 4

    name: Literal["ridge_cca"]
    support: Annotated[int, Field(ge=4)] = 5000
    m: Count | Literal["auto"] = "auto"
    ridge: Positive | Literal["auto"] = "auto"
    standardise: Standardise = "none"


ALIGNERS = Kinds(
    "name",
    {
        "absolute": AbsoluteConfig,
        "relative": RelativeConfig,
        "ortho": OrthoConfig,
        "parseval": OrthoConfig,
        "linear": LinearMapConfig,
        "l_ortho": LinearMapConfig,
        "affine": AffineConfig,
        "inverse_relative": InverseRelativeConfig,
        "consensus": ConsensusConfig,
        "gpa": GpaConfig,
        "ridge_cca": RidgeCcaConfig,
    },
    room="relrep_exp.tasks",
    has={"uses": (), "least_parallel": 1},
)
AlignerConfig = Annotated[
    AbsoluteConfig | RelativeConfig | PairwiseConfig | ConsensusConfig | GpaConfig | RidgeCcaConfig, ALIGNERS
]
