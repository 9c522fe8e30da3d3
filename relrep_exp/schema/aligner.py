"""conf/aligner: how a decoder of one encoder reads another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from relrep_exp.schema.types import Count, NonNegative, Positive, Share, strict

Support = Annotated[int, Field(ge=2)]
Preprocessing = Literal["standard", "center", "l2", "none"]


@dataclass(frozen=True, config=strict)
class AbsoluteConfig:
    """conf/aligner/absolute."""

    name: Literal["absolute"]


@dataclass(frozen=True, config=strict)
class RelativeConfig:
    """conf/aligner/relative: support set and statistics shared by anchors and similarity."""

    name: Literal["relative"]
    support: Support = 5000
    shrinkage: Share = 0.15
    eps: NonNegative = 5e-8
    statistics: Literal["train", "support"] = "train"


@dataclass(frozen=True, config=strict)
class PairwiseConfig:
    """What methods share that take one encoder's space to another's, by parallel anchors alone."""

    name: str
    support: Support = 5000
    scaling: Preprocessing = "standard"


@dataclass(frozen=True, config=strict)
class OrthoConfig(PairwiseConfig):
    """conf/aligner/ortho."""

    name: Literal["ortho"]


@dataclass(frozen=True, config=strict)
class LinearMapConfig(PairwiseConfig):
    """conf/aligner/linear and l_ortho."""

    name: Literal["linear", "l_ortho"]
    ridge: NonNegative = 0.0


@dataclass(frozen=True, config=strict)
class AffineConfig(PairwiseConfig):
    """conf/aligner/affine."""

    name: Literal["affine"]
    ridge: NonNegative = 0.0
    solver: Literal["closed", "gradient"] = "closed"
    steps: Count = 300
    lr: Positive = 1e-3


@dataclass(frozen=True, config=strict)
class InverseRelativeConfig(PairwiseConfig):
    """conf/aligner/inverse_relative."""

    name: Literal["inverse_relative"]
    scaling: Preprocessing = "center"
    ridge: NonNegative = 0.0


@dataclass(frozen=True, config=strict)
class ConsensusConfig:
    """conf/aligner/consensus."""

    name: Literal["consensus"]
    support: Annotated[int, Field(ge=4)] = 5000
    m: Count | Literal["auto"] = "auto"
    ridge: Positive | Literal["auto"] = "auto"
    features: Annotated[int, Field(ge=0)] = 400
    shrinkage: Share = 0.15
    eps: NonNegative = 5e-8


def _kind(value: Any) -> str:
    """The class of an aligner's settings; some names share one."""
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    return "linear" if name == "l_ortho" else str(name)


AlignerConfig = Annotated[
    Annotated[AbsoluteConfig, Tag("absolute")]
    | Annotated[RelativeConfig, Tag("relative")]
    | Annotated[OrthoConfig, Tag("ortho")]
    | Annotated[LinearMapConfig, Tag("linear")]
    | Annotated[AffineConfig, Tag("affine")]
    | Annotated[InverseRelativeConfig, Tag("inverse_relative")]
    | Annotated[ConsensusConfig, Tag("consensus")],
    Discriminator(_kind),
]
