"""conf/zoo: a zoo of any kind, and zoos whose encoders are of different kinds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import Kinds, Name, strict
from relrep_exp.config.schema.zoo import (
    AutoencoderZoo,
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
        return [view for part in self.parts() for view in part.views]

    def parts(self) -> list[PlainZoo]:
        """Split into zoos of one kind each.

        An encoder of a part is configured as in a zoo of its kind, so its embeddings are the same ones.
        """
        found = []
        for kind in dict.fromkeys(member.kind for member in self.encoders.values()):
            encoder, plain = _KINDS[kind]
            own = {}
            for name, member in self.encoders.items():
                if member.kind == kind:
                    own[name] = encoder(**{key: v for key, v in asdict(member).items() if key != "kind"})
            shared = {"dtype": self.dtype, "skip_missing": self.skip_missing} if kind in _PRETRAINED else {}
            found.append(plain(kind=kind, name=self.name, encoders=own, **shared))
        return found


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


# kind -> the configuration of an encoder of it, and of a zoo of them
_KINDS: dict[str, tuple[Any, Any]] = {
    "timm": (TimmEncoderConfig, TimmZoo),
    "transformers": (TransformersEncoderConfig, TransformersZoo),
    "local": (LocalEncoderConfig, LocalZoo),
    "local_bert": (LocalBertConfig, LocalBertZoo),
    "lsa": (LsaEncoderConfig, LsaZoo),
}
_PRETRAINED = ("timm", "transformers")
