"""conf/zoo/autoencoders and conf/decoder/conv: networks that make images again."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import (
    IMAGE,
    Count,
    Name,
    NonNegative,
    Positive,
    ScalingName,
    Seed,
    strict,
)

Channels = Annotated[list[Count], Field(min_length=1)]


@dataclass(frozen=True, config=strict)
class AutoencoderConfig:
    """One autoencoder: what sets it apart from the others."""

    seed: Seed


@dataclass(frozen=True, config=strict)
class AutoencoderZoo:
    """Convolutional autoencoders of one shape, trained on the task's own training images."""

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

    @property
    def views(self) -> list[str]:
        """Images alone."""
        return [IMAGE]


@dataclass(frozen=True, config=strict)
class ConvConfig:
    """conf/decoder/conv: draws an image from a representation."""

    draws: ClassVar[bool] = True

    name: Literal["conv"]
    channels: Channels = field(default_factory=lambda: [16, 32])
    epochs: Count = 3
    least_steps: Count = 450
    batch: Annotated[int, Field(ge=2)] = 128
    lr: Positive = 2e-3
    scaling: ScalingName = "std"
