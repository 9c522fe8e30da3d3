"""Made-up encoders of points: an affine deformation with noise, y = scale * R D x + t + noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from relrep_exp.data.samples import PointSample
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.training.seeding import generator

if TYPE_CHECKING:
    from relrep_exp.config.schema import DistortedEncoderConfig
    from relrep_exp.encoders.made import DistortedSource
    from relrep_exp.training.device import Training


def load(source: DistortedSource, training: Training) -> DistortedEncoder:
    """Make the encoder of a source, on the CPU."""
    dim = getattr(source.data.config, "dim", 0)  # other data than points are refused before
    encoder = DistortedEncoder(source.config, dim)
    encoder.eval()
    return encoder


class DistortedEncoder(Encoder):
    """Points -> deformed points, in float64.

    Args:
        config: the deformation.
        dim: d, of the points.
    """

    matrix: Tensor
    shift: Tensor

    def __init__(self, config: DistortedEncoderConfig, dim: int):
        super().__init__()
        self.config, self.dim = config, dim
        linear = rotation(config.rotation, dim, config.seed) * scales(config.condition, dim)  # R D
        self.register_buffer("matrix", config.scale * linear)
        self.register_buffer("shift", config.translation * direction(dim, config.seed))

    def prepare(self, samples: Sequence[PointSample]) -> dict[str, Tensor]:
        """Stack coordinates and noise, [B, d]; a sample's noise depends on its number and the seed alone."""
        points = torch.stack([sample.coordinates for sample in samples])
        if not self.config.noise:  # drawing it takes longer than all the rest
            return {"points": points, "noise": torch.zeros_like(points)}
        seed, size = self.config.seed, (self.dim,)
        noise = torch.stack([_normal(seed, "noise", sample.number, size=size) for sample in samples])
        return {"points": points, "noise": self.config.noise * noise}

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Deform the points: [B, d]."""
        return inputs["points"] @ self.matrix.T + self.shift + inputs["noise"]


def rotation(degrees: float, dim: int, seed: int) -> Tensor:
    """Make R: a turn by the angle in each of floor(d / 2) orthogonal planes, [d, d].

    In two dimensions there is but one plane; beyond, the seed draws them.
    """
    angle = math.radians(degrees)
    turn = torch.eye(dim, dtype=torch.float64)
    for first in range(0, dim - 1, 2):
        turn[first, first] = turn[first + 1, first + 1] = math.cos(angle)
        turn[first + 1, first] = math.sin(angle)
        turn[first, first + 1] = -math.sin(angle)
    if dim <= 2:
        return turn
    basis = torch.linalg.qr(_normal(seed, "planes", size=(dim, dim))).Q
    turned: Tensor = basis @ turn @ basis.T
    return turned


def scales(condition: float, dim: int) -> Tensor:
    """Make the diagonal of D, [d]: geometric steps from sqrt(condition) to its inverse, of product 1."""
    half = 0.5 * math.log(condition)
    return torch.linspace(half, -half, dim, dtype=torch.float64).exp()


def direction(dim: int, seed: int) -> Tensor:
    """Draw a unit vector in a random direction, [d]."""
    drawn = _normal(seed, "translation", size=(dim,))
    unit: Tensor = drawn / drawn.norm()
    return unit


def _normal(seed: int, *scope: object, size: tuple[int, ...]) -> Tensor:
    return torch.randn(size, generator=generator(seed, "distorted", *scope), dtype=torch.float64)
