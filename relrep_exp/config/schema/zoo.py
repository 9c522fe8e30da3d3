"""conf/zoo: the encoders. The `views` of a zoo are what its encoders read, in their order."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import (
    ENGLISH,
    IMAGE,
    POINT,
    Channels,
    Commit,
    Count,
    Name,
    NonNegative,
    Positive,
    RepoId,
    Seed,
    Text,
    strict,
)

Dtype = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True, config=strict)
class LocalEncoderConfig:
    """One image encoder trained on the spot."""

    architecture: Literal["vit", "resnet", "mlp", "gru"]
    dim: Count
    depth: Count
    seed: Seed
    epochs: Count = 20
    batch: Count = 64
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.01
    classify: NonNegative = 1.0
    reconstruct: NonNegative = 0.0
    heads: Count = 4
    patch: Count = 2

    @model_validator(mode="after")
    def _fits_its_architecture(self) -> Self:
        if self.architecture == "vit" and self.dim % self.heads:
            raise ValueError(f"a ViT's dim must be a multiple of its heads, {self.heads}")
        if self.architecture == "resnet" and self.dim < 4:
            raise ValueError("a ResNet needs dim >= 4")
        return self


@dataclass(frozen=True, config=strict)
class LocalZoo:
    """Image encoders trained on the task's own training samples."""

    views: ClassVar[tuple[str, ...]] = (IMAGE,)

    kind: Literal["local"]
    name: Name
    encoders: dict[Name, LocalEncoderConfig]


@dataclass(frozen=True, config=strict)
class AutoencoderConfig:
    """One autoencoder: what sets it apart from the others."""

    seed: Seed


@dataclass(frozen=True, config=strict)
class AutoencoderZoo:
    """Convolutional autoencoders of one shape, trained on the task's own training images."""

    views: ClassVar[tuple[str, ...]] = (IMAGE,)

    kind: Literal["autoencoder"]
    name: Name
    encoders: dict[Name, AutoencoderConfig]
    latent: Count = 64
    channels: Channels = field(default_factory=lambda: [16, 32])
    anisotropy: Annotated[float, Field(ge=1)] = 100.0
    shift: NonNegative = 5.0
    epochs: Count = 4
    least_steps: Count = 600
    batch: Annotated[int, Field(ge=2)] = 128
    lr: Positive = 2e-3


@dataclass(frozen=True, config=strict)
class PrecomputedZoo:
    """conf/zoo/precomputed: the user's own embeddings."""

    views: ClassVar[tuple[str, ...]] = ()

    kind: Literal["precomputed"]
    path: str
    encoders: list[str] | None = None


@dataclass(frozen=True, config=strict)
class TimmEncoderConfig:
    """One vision encoder of timm: its name there, and a commit of its repository or a local directory."""

    model: Text
    revision: Commit | None = None
    path: Text | None = None


@dataclass(frozen=True, config=strict)
class TimmZoo:
    """Pretrained vision encoders."""

    views: ClassVar[tuple[str, ...]] = (IMAGE,)

    kind: Literal["timm"]
    name: Name
    encoders: dict[Name, TimmEncoderConfig]
    dtype: Dtype = "float32"
    skip_missing: bool = False


class _TextZoo:
    """A zoo whose encoders say which language they read."""

    encoders: dict[Name, Any]

    @property
    def views(self) -> list[str]:
        """The language of each encoder."""
        return [encoder.language for encoder in self.encoders.values()]


@dataclass(frozen=True, config=strict)
class TransformersEncoderConfig:
    """One text encoder or language model of transformers, and how its states become one embedding."""

    model: RepoId
    language: Name = "en"
    pooling: Literal["cls", "mean", "last"] = "cls"
    layer: int = -1
    max_length: Annotated[int, Field(ge=2)] = 512
    revision: Commit | None = None
    path: Text | None = None


@dataclass(frozen=True, config=strict)
class TransformersZoo(_TextZoo):
    """Pretrained text encoders and language models."""

    kind: Literal["transformers"]
    name: Name
    encoders: dict[Name, TransformersEncoderConfig]
    dtype: Dtype = "float32"
    skip_missing: bool = False


@dataclass(frozen=True, config=strict)
class LsaEncoderConfig:
    """Latent semantic analysis of one language: TF-IDF of character n-grams, then a truncated SVD."""

    language: Name
    dim: Count = 128
    analyzer: Literal["word", "char", "char_wb"] = "char_wb"
    ngrams: tuple[Count, Count] = (3, 5)
    max_features: Count = 20000
    seed: Seed = 0

    @model_validator(mode="after")
    def _shorter_first(self) -> Self:
        if self.ngrams[0] > self.ngrams[1]:
            raise ValueError(f"ngrams are [shortest, longest], not {list(self.ngrams)}")
        return self


@dataclass(frozen=True, config=strict)
class LsaZoo(_TextZoo):
    """conf/zoo/lsa: works on any text, fitted on the task's own training samples."""

    kind: Literal["lsa"]
    name: Name
    encoders: dict[Name, LsaEncoderConfig]


@dataclass(frozen=True, config=strict)
class LocalBertConfig:
    """One tiny BERT of one language, with a tokenizer of its own.

    `masked`, `bag` and `classify` weigh the three losses of its training.
    """

    language: Name
    dim: Count
    depth: Count
    heads: Count
    seed: Seed
    vocabulary: Count = 2000
    epochs: Count = 6
    batch: Count = 32
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.01
    masked: NonNegative = 1.0
    bag: NonNegative = 1.0
    classify: NonNegative = 0.1
    pooling: Literal["cls", "mean"] = "cls"
    max_length: Annotated[int, Field(ge=2)] = 64

    @model_validator(mode="after")
    def _heads_share_its_dim(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of its heads, {self.heads}")
        return self


@dataclass(frozen=True, config=strict)
class LocalBertZoo(_TextZoo):
    """conf/zoo/text_local: tiny BERTs trained on the task's own training samples."""

    kind: Literal["local_bert"]
    name: Name
    encoders: dict[Name, LocalBertConfig]


@dataclass(frozen=True, config=strict)
class LocalLmConfig:
    """One tiny language model with a tokenizer of its own.

    `next_token` and `bag` weigh the two losses of its training, `initial_std` is that of its first weights.
    """

    architecture: Literal["gpt2", "llama", "gemma3"]
    dim: Count
    depth: Count
    heads: Count
    seed: Seed
    vocabulary: Count = 1000
    sentences: Annotated[int, Field(ge=1, le=1_000_000)] = 8000
    epochs: Count = 4
    batch: Count = 32
    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.01
    initial_std: Positive = 0.08
    next_token: NonNegative = 1.0
    bag: NonNegative = 0.3
    layer: int = -1
    max_length: Annotated[int, Field(ge=2)] = 64

    @model_validator(mode="after")
    def _fits_its_architecture(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of its heads, {self.heads}")
        if self.architecture != "gpt2" and self.dim // self.heads % 2:
            raise ValueError("rotary positions turn pairs of numbers: dim / heads must be even")
        if not -self.depth - 1 <= self.layer <= self.depth:
            raise ValueError(f"layer must be within {-self.depth - 1} .. {self.depth}")
        return self


@dataclass(frozen=True, config=strict)
class LocalLmZoo:
    """conf/zoo/slm_local: tiny language models trained on the template language."""

    views: ClassVar[tuple[str, ...]] = (ENGLISH,)

    kind: Literal["local_lm"]
    name: Name
    encoders: dict[Name, LocalLmConfig]


@dataclass(frozen=True, config=strict)
class DistortedEncoderConfig:
    """One deformation of points: y = scale * R D x + t + noise.

    `rotation` is in degrees, `condition` the largest over the smallest entry of D, `translation` the length
    of t, `noise` its standard deviation; `seed` draws whatever these leave open.
    """

    rotation: float = 0.0
    condition: Annotated[float, Field(ge=1)] = 1.0
    scale: Positive = 1.0
    translation: NonNegative = 0.0
    noise: NonNegative = 0.0
    seed: Seed = 0


@dataclass(frozen=True, config=strict)
class DistortedZoo:
    """conf/zoo/distorted: known deformations of the task's own points."""

    views: ClassVar[tuple[str, ...]] = (POINT,)

    kind: Literal["distorted"]
    name: Name
    encoders: dict[Name, DistortedEncoderConfig]
