"""conf/zoo: a zoo of any kind, and zoos whose encoders are of different kinds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.autoencoder import AutoencoderZoo
from relrep_exp.config.schema.kinds import Kinds
from relrep_exp.config.schema.types import Name, strict
from relrep_exp.config.schema.zoo import (
    DistortedZoo,
    Dtype,
    LocalBertConfig,
    LocalBertZoo,
    LocalEncoderConfig,
    LocalLmZoo,
    LocalZoo,
    LsaEncoderConfig,
    LsaZoo,
    PrecomputedZoo,
    TimmEncoderConfig,
    TimmZoo,
    TransformersEncoderConfig,
    TransformersZoo,
)


@dataclass(frozen=True, config=strict)
class TimmMember(TimmEncoderConfig):
    """A vision encoder of timm in a mixed zoo."""

    kind: Literal["timm"] = "timm"


@dataclass(frozen=True, config=strict)
class TransformersMember(TransformersEncoderConfig):
    """A text encoder of transformers in a mixed zoo."""

    kind: Literal["transformers"] = "transformers"


@dataclass(frozen=True, config=strict)
class LocalMember(LocalEncoderConfig):
    """An image encoder trained on the spot in a mixed zoo."""

    kind: Literal["local"] = "local"


@dataclass(frozen=True, config=strict)
class LocalBertMember(LocalBertConfig):
    """A tiny BERT in a mixed zoo."""

    kind: Literal["local_bert"] = "local_bert"


@dataclass(frozen=True, config=strict)
class LsaMember(LsaEncoderConfig):
    """Latent semantic analysis in a mixed zoo."""

    kind: Literal["lsa"] = "lsa"


Member = Annotated[
    TimmMember | TransformersMember | LocalMember | LocalBertMember | LsaMember,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, config=strict)
class MixedZoo:
    """Encoders of different kinds; `dtype` and `skip_missing` are for those that are pretrained."""

    kind: Literal["mixed"]
    name: Name
    encoders: dict[Name, Member]
    dtype: Dtype = "float32"
    skip_missing: bool = False

    @property
    def views(self) -> list[str]:
        """Those of its parts."""
        return [view for part in parts(self) for view in part.views]


PlainZoo = (
    LocalZoo
    | AutoencoderZoo
    | PrecomputedZoo
    | TimmZoo
    | TransformersZoo
    | LsaZoo
    | LocalBertZoo
    | LocalLmZoo
    | DistortedZoo
)
ZOOS = Kinds(
    "kind",
    {
        "local": LocalZoo,
        "autoencoder": AutoencoderZoo,
        "precomputed": PrecomputedZoo,
        "timm": TimmZoo,
        "transformers": TransformersZoo,
        "lsa": LsaZoo,
        "local_bert": LocalBertZoo,
        "local_lm": LocalLmZoo,
        "distorted": DistortedZoo,
        "mixed": MixedZoo,
    },
    room="relrep_exp.encoders",
)
ZooConfig = Annotated[PlainZoo | MixedZoo, ZOOS]


def parts(zoo: PlainZoo | MixedZoo) -> list[PlainZoo]:
    """The zoos of one kind each that a zoo is made of: itself, unless it is mixed.

    An encoder of a part is configured as in a zoo of its kind, so its embeddings are the same ones.
    """
    if not isinstance(zoo, MixedZoo):
        return [zoo]
    kinds = dict.fromkeys(member.kind for member in zoo.encoders.values())
    return [_part(zoo, kind) for kind in kinds]


def _part(zoo: MixedZoo, kind: str) -> PlainZoo:
    encoder, plain = _KINDS[kind]
    members = {name: asdict(member) for name, member in zoo.encoders.items() if member.kind == kind}
    own = {
        name: encoder(**{key: value for key, value in values.items() if key != "kind"})
        for name, values in members.items()
    }
    shared = {"dtype": zoo.dtype, "skip_missing": zoo.skip_missing} if kind in _PRETRAINED else {}
    found: PlainZoo = plain(kind=kind, name=zoo.name, encoders=own, **shared)
    return found


# kind -> the configuration of an encoder of it, and of a zoo of them
_KINDS: dict[str, tuple[Any, Any]] = {
    "timm": (TimmEncoderConfig, TimmZoo),
    "transformers": (TransformersEncoderConfig, TransformersZoo),
    "local": (LocalEncoderConfig, LocalZoo),
    "local_bert": (LocalBertConfig, LocalBertZoo),
    "lsa": (LsaEncoderConfig, LsaZoo),
}
_PRETRAINED = ("timm", "transformers")
