"""What a consensus is solved in: whitened coordinates and, beside them, random Fourier features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.whitening import inverse_root, moments, shrunk
from relrep_exp.training.seeding import generator

ROUNDING = 1e-26  # variance over squared mean: below, rows differ by the rounding of their mean at most


@dataclass(frozen=True)
class Features:
    """x -> [w, sqrt(2 d / F) cos(w Omega + b)], with w = (x - mean) L. All float64.

    The cosines' inner products estimate d times a Gaussian kernel of w (Rahimi and Recht 2007), so that a
    linear map of the features is a smooth map of the embedding.

    Attributes:
        mean: [d].
        matrix: L = Sigma_lambda^(-1/2), [d, d].
        frequencies: Omega, [d, F].
        phases: b, [F].
    """

    mean: Tensor
    matrix: Tensor
    frequencies: Tensor
    phases: Tensor

    @classmethod
    def fit(cls, x: Tensor, count: int, shrinkage: float, eps: float, seed: int) -> Features:
        """Statistics of x [K, d]; F = count. The kernel is as wide as whitened samples are long.

        Raises:
            ValueError: numbers that are not finite, or embeddings that are all equal.
        """
        mean, covariance = moments(x)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("the embeddings hold NaN or infinite values")
        if not bool(covariance.diagonal().sum() > ROUNDING * mean.square().sum()):
            raise ValueError("all embeddings are equal: there is no covariance to whiten with")
        matrix = inverse_root(shrunk(covariance, shrinkage, eps))[0]
        width = (matrix @ covariance @ matrix).diagonal().sum().sqrt()  # root mean square of |w|
        draw = generator(seed, "random features")
        frequencies = torch.randn(len(mean), count, generator=draw, dtype=torch.float64)
        phases = 2 * math.pi * torch.rand(count, generator=draw, dtype=torch.float64)
        return cls(mean, matrix, frequencies.to(x.device) / width, phases.to(x.device))

    @property
    def whitened(self) -> int:
        """d: so many of the leading features are whitened coordinates."""
        return len(self.mean)

    @property
    def size(self) -> int:
        """d + F."""
        return len(self.mean) + len(self.phases)

    def whiten(self, x: Tensor) -> Tensor:
        """w, [N, d]: the leading features."""
        return (x.double() - self.mean) @ self.matrix

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d] -> [N, d + F]."""
        w = self.whiten(x)
        if not len(self.phases):
            return w
        amplitude = math.sqrt(2 * self.whitened / len(self.phases))
        return torch.cat([w, amplitude * torch.cos(w @ self.frequencies + self.phases)], dim=1)


@dataclass(frozen=True)
class FeatureRows:
    """The features of x [K, d], made when rows are asked for.

    Attributes:
        features: of the encoder.
        x: its embeddings; may be memory-mapped.
    """

    features: Features
    x: Tensor

    def __len__(self) -> int:
        """K."""
        return len(self.x)

    def __getitem__(self, rows: slice) -> Tensor:
        """Some rows, [n, d + F]."""
        return self.features(self.x[rows])


@dataclass(frozen=True)
class ConsensusRows:
    """The consensus of the voters' support embeddings, made when rows are asked for.

    Attributes:
        voters: rows of each.
        directions: of each, [d, m].
    """

    voters: Sequence[FeatureRows]
    directions: Sequence[Tensor]

    def __len__(self) -> int:
        """K."""
        return len(self.voters[0])

    def __getitem__(self, rows: slice) -> Tensor:
        """Some rows, [n, m]."""
        parts = [
            voter.features.whiten(voter.x[rows]) @ h
            for voter, h in zip(self.voters, self.directions, strict=True)
        ]
        return torch.stack(parts).sum(0)
