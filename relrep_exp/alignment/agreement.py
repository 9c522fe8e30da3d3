"""Where encoders agree: MAXVAR generalised CCA from second moments, and the choice of its size and ridge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from relrep_exp.alignment.whitening import Eps, Moments, inverse_root, moments, shrunk, united
from relrep_exp.training.seeding import generator

Auto = Literal["auto"]
ROUNDING = 1e-26  # variance over squared mean: below, rows differ by the rounding of their mean at most
RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
FLOOR = 0.5  # a dimension is worth having where half as much of it is agreed on as of the best one

ALONE_RIDGE = 0.1  # where one encoder votes, and so nothing can be held out of the vote
ALONE_SHARE = 0.9  # of its variance that its leading directions hold


@dataclass(frozen=True)
class Features:
    """Map x to [w, sqrt(2 d / F) cos(w Omega + b)], with w = (x - mean) L. All float64.

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
    def fit(cls, x: Tensor, count: int, shrinkage: float, eps: Eps, seed: int) -> Features:
        """Estimate the statistics of x [K, d] and draw F = count frequencies.

        Raises:
            ValueError: numbers that are not finite, or embeddings that are all equal.
        """
        mean, covariance = moments(x)
        if not bool(torch.isfinite(covariance).all()):
            raise ValueError("the embeddings hold NaN or infinite values")
        if not bool(covariance.diagonal().sum() > ROUNDING * mean.square().sum()):
            raise ValueError("all embeddings are equal: there is no covariance to whiten with")
        matrix = inverse_root(shrunk(covariance, shrinkage, eps))[0]
        # the kernel is as wide as whitened samples are long, in root mean square
        width = (matrix @ covariance @ matrix).diagonal().sum().sqrt()
        draw = generator(seed, "random features")
        frequencies = torch.randn(len(mean), count, generator=draw, dtype=torch.float64)
        phases = 2 * math.pi * torch.rand(count, generator=draw, dtype=torch.float64)
        return cls(mean, matrix, frequencies.to(x.device) / width, phases.to(x.device))

    def whiten(self, x: Tensor) -> Tensor:
        """Whiten x [N, d] -> w [N, d]: the leading features."""
        return (x.double() - self.mean) @ self.matrix

    def __call__(self, x: Tensor) -> Tensor:
        """Make the features of x [N, d], [N, d + F]."""
        w = self.whiten(x)
        if not len(self.phases):
            return w
        amplitude = math.sqrt(2 * len(self.mean) / len(self.phases))
        return torch.cat([w, amplitude * torch.cos(w @ self.frequencies + self.phases)], dim=1)


@dataclass(frozen=True)
class MadeRows:
    """Rows [K, p] that are made when they are asked for, of embeddings that may be memory-mapped.

    Attributes:
        count: K.
        make: some of them, [n, p].
    """

    count: int
    make: Callable[[slice], Tensor]

    def __len__(self) -> int:
        """K."""
        return self.count

    def __getitem__(self, rows: slice) -> Tensor:
        """Make some rows, [n, p]."""
        return self.make(rows)


@dataclass(frozen=True)
class Agreement:
    """The directions on which some encoders, the voters, agree; most agreed on first.

    Attributes:
        values: eigenvalues of the Gram matrix of the whitened embeddings side by side, [r]. Without
            shrinkage they run from the number of voters (all agree) over 1 (of one encoder alone) to 0.
        directions: H of the voters, one below the other, [sum d, r]: the consensus of a sample is the sum
            over voters of w H.
        columns: where the coordinates w stand that H multiplies, among those of the moments, [sum d].
    """

    values: Tensor
    directions: Tensor
    columns: Tensor


def agree(moments: Moments, whitened: Mapping[str, int]) -> Agreement:
    """Solve for the eigenvectors of the Gram matrix [sum d, sum d] of all voters' whitened embeddings.

    They are the right singular vectors of the stacked whitened embeddings [K, sum d], so that stacked
    embeddings times eigenvectors are left singular vectors times singular values: the consensus.

    Args:
        moments: of the features of the voters at least.
        whitened: the voters, each with d: its leading features are its whitened coordinates.
    """
    starts = {name: moments.columns[name].start for name in whitened}
    parts = [torch.arange(starts[name], starts[name] + d) for name, d in whitened.items()]
    columns = torch.cat(parts).to(moments.mean.device)
    values, vectors = torch.linalg.eigh(moments.scatter[columns][:, columns] / moments.count)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > values[0] * max(len(values), moments.count) * torch.finfo(values.dtype).eps
    vectors = vectors[:, kept]
    # v and -v are eigenvectors alike: the one whose largest entry is positive, whatever LAPACK gives
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return Agreement(values[kept], vectors, columns)


def ridge_maps(own: Tensor, cross: Tensor, ridges: Sequence[float]) -> list[Tensor]:
    """Solve (S + ridge tr(S)/p I)^-1 B for each ridge: a map of centred features to what B is of.

    S and B are divided by K, so that the ridge counts relative to the mean variance, whatever K. Directions
    without variance are left out.

    Args:
        own: S, covariance of the features, [p, p].
        cross: B, [p, m].
        ridges: each >= 0.

    Returns:
        A map [p, m] for each ridge.
    """
    values, vectors = torch.linalg.eigh(own)
    mean, kept = values.mean(), values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    values, vectors = values[kept], vectors[:, kept]
    turned = vectors.T @ cross
    return [(vectors / (values + ridge * mean)) @ turned for ridge in ridges]


@dataclass(frozen=True)
class Choice:
    """The size and the ridge of a consensus.

    Attributes:
        m: dimensions.
        ridge: relative to the mean variance.
        score: R^2 of the m dimensions in held-out samples of held-out encoders; None where not measured.
    """

    m: int
    ridge: float
    score: float | None = None


@dataclass(frozen=True)
class Solution:
    """The consensus of one set of voters.

    Attributes:
        folds: moments of the voters' features in parts of the support.
        moments: in all of it.
        agreement: the voters' directions, all there are.
        choice: how many of them are used, and the ridge.
    """

    folds: list[Moments]
    moments: Moments
    agreement: Agreement
    choice: Choice


def choose(
    m: int | Auto,
    ridge: float | Auto,
    folds: Sequence[Moments],
    agreement: Agreement,
    whitened: Mapping[str, int],
) -> Choice:
    """Choose what is left open of m and ridge, by cross-validation on the support alone.

    With rho the correlation of the consensus with a left-out encoder's map, dimension by dimension, m and
    ridge have the largest sum of variance x (rho^2 - FLOOR max rho^2). Of equals the smaller m and the first
    ridge.

    Args:
        m: dimensions.
        ridge: relative to the mean variance.
        folds: moments of two or more parts of the support set.
        agreement: of all voters in all of it.
        whitened: the voters, each with d.
    """
    if m != "auto" and ridge != "auto":
        return Choice(m, ridge)
    ridges = RIDGES if ridge == "auto" else (ridge,)
    if len(whitened) == 1:
        most = int((agreement.values.cumsum(0) < agreement.values.sum() * ALONE_SHARE).sum()) + 1
        return Choice(most if m == "auto" else m, ALONE_RIDGE if ridge == "auto" else ridge)
    variance, cross, power = held_out(folds, whitened, ridges)
    correlation = (cross.clamp_min(0).square() / (variance * power)).nan_to_num(0.0)
    gains = (variance * (correlation - FLOOR * correlation.max())).cumsum(1)
    first = 0 if m == "auto" else min(m, len(variance)) - 1
    considered = gains if m == "auto" else gains[:, first : first + 1]
    row, column = divmod(int(considered.flatten().argmax()), considered.shape[1])
    size = first + column + 1
    error = (variance - 2 * cross[row] + power[row])[:size].sum()
    return Choice(size if m == "auto" else m, ridges[row], float(1 - error / variance[:size].sum()))


def held_out(
    folds: Sequence[Moments], whitened: Mapping[str, int], ridges: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Leave out a fold and a voter: compare the others' consensus of it with the left-out voter's map.

    Both the consensus and the map are learned on the other folds. Everything is had from the folds' moments.

    Args:
        folds: moments of two or more parts of the support set.
        whitened: two or more voters, each with d.
        ridges: relative to the mean variance.

    Returns:
        Of each dimension in held-out samples, summed over folds and left-out encoders: the variance of the
        others' consensus about its training mean, [r]; its products with what the left-out encoder's map
        says, [ridges, r]; the squares of what that map says, [ridges, r].
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, held in enumerate(folds):
        seen = united([fold for other, fold in enumerate(folds) if other != number])
        second = held.count * held.about(seen.mean)
        for left_out in whitened:
            others = agree(seen, {name: d for name, d in whitened.items() if name != left_out})
            own, voters, directions = seen.columns[left_out], others.columns, others.directions
            learned = seen.scatter[own][:, voters] @ directions / seen.count
            maps = ridge_maps(seen.covariance(left_out, left_out), learned, ridges)
            with_own = second[own][:, voters] @ directions
            variance = (directions * (second[voters][:, voters] @ directions)).sum(0)
            cross = torch.stack([(a * with_own).sum(0) for a in maps])
            power = torch.stack([(a * (second[own, own] @ a)).sum(0) for a in maps])
            found.append((variance, cross, power))
    r = min(len(variance) for variance, _, _ in found)  # voters have unequal numbers of directions
    variances, crosses, powers = zip(*found, strict=True)
    return (
        torch.stack([one[:r] for one in variances]).sum(0),
        torch.stack([one[:, :r] for one in crosses]).sum(0),
        torch.stack([one[:, :r] for one in powers]).sum(0),
    )
