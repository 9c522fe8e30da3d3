"""m and the ridge of a consensus by cross-validation on the support alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import Agreement, RidgeMaps, agree
from relrep_exp.alignment.whitening import Moments, united

Auto = Literal["auto"]
RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
FLOOR = 0.5  # a dimension is worth having where half as much of it is agreed on as of the best one

ALONE_RIDGE = 0.1  # where one encoder votes, and so nothing can be held out of the vote
ALONE_SHARE = 0.9  # of its variance that its leading directions hold


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        m: dimensions.
        ridge: relative to the mean variance.
        score: R^2 of the m dimensions in held-out samples of held-out encoders; None where not measured.
    """

    m: int
    ridge: float
    score: float | None = None


@dataclass(frozen=True)
class HeldOutError:
    """Of each dimension in held-out samples, for each ridge, summed over folds and left-out encoders.

    Attributes:
        variance: of the others' consensus about its training mean, [r].
        cross: its products with what the left-out encoder's map says, [ridges, r].
        power: squares of what that map says, [ridges, r].
    """

    variance: Tensor
    cross: Tensor
    power: Tensor

    def choose(self, m: int | None, ridges: Sequence[float]) -> Choice:
        """The m, unless given, and the ridge with the largest sum of variance x (rho^2 - FLOOR max rho^2).

        rho is the correlation of the consensus with the map. Of equals the smaller m and the first ridge.
        """
        correlation = self.cross.clamp_min(0).square() / (self.variance * self.power)
        correlation = correlation.nan_to_num(0.0)
        gains = (self.variance * (correlation - FLOOR * correlation.max())).cumsum(1)
        first = 0 if m is None else min(m, len(self.variance)) - 1
        considered = gains if m is None else gains[:, first : first + 1]
        row, column = divmod(int(considered.flatten().argmax()), considered.shape[1])
        size = first + column + 1
        error = (self.variance - 2 * self.cross[row] + self.power[row])[:size].sum()
        return Choice(size if m is None else m, ridges[row], float(1 - error / self.variance[:size].sum()))


def check_settings(m: int | Auto, ridge: float | Auto, features: int) -> None:
    """Refuse what no consensus can be made with.

    Raises:
        ValueError: m below 1, or a ridge or a number of features below 0.
    """
    if m != "auto" and (not isinstance(m, int) or m < 1):
        raise ValueError(f"m={m!r}: use 1 or more, or 'auto'")
    if ridge != "auto" and (isinstance(ridge, str) or not ridge >= 0):
        raise ValueError(f"ridge={ridge!r}: use 0 or more, or 'auto'")
    if features < 0:
        raise ValueError(f"features={features}: use 0 or more")


def choose(
    m: int | Auto,
    ridge: float | Auto,
    folds: Sequence[Moments],
    agreement: Agreement,
    whitened: Mapping[str, int],
) -> Choice:
    """The m and the ridge that are given, and what is left open of them.

    Args:
        m: dimensions.
        ridge: relative to the mean variance.
        folds: moments of two or more parts of the support set.
        agreement: of all voters in all of it.
        whitened: the voters, each with d.
    """
    if m != "auto" and ridge != "auto":
        return Choice(m, ridge)
    size, ridges = None if m == "auto" else m, RIDGES if ridge == "auto" else (ridge,)
    if len(whitened) > 1:
        return held_out_error(folds, whitened, ridges).choose(size, ridges)
    most = int((agreement.values.cumsum(0) < agreement.values.sum() * ALONE_SHARE).sum()) + 1
    return Choice(size or most, ALONE_RIDGE if ridge == "auto" else ridge)


def held_out_error(
    folds: Sequence[Moments], whitened: Mapping[str, int], ridges: Sequence[float]
) -> HeldOutError:
    """Leave out a fold and a voter: the others' consensus of it, against the left-out voter's map.

    Both the consensus and the map are learned on the other folds. Everything is had from the folds' moments.

    Args:
        folds: moments of two or more parts of the support set.
        whitened: two or more voters, each with d.
        ridges: relative to the mean variance.
    """
    found = []
    for number, held in enumerate(folds):
        seen = united([fold for other, fold in enumerate(folds) if other != number])
        second = held.count * held.about(seen.mean)
        for left_out in whitened:
            agreement = agree(seen, {name: d for name, d in whitened.items() if name != left_out})
            found.append(_error(seen, second, agreement, left_out, ridges))
    r = min(len(one.variance) for one in found)
    variance = torch.stack([one.variance[:r] for one in found]).sum(0)
    cross = torch.stack([one.cross[:, :r] for one in found]).sum(0)
    return HeldOutError(variance, cross, torch.stack([one.power[:, :r] for one in found]).sum(0))


def _error(
    seen: Moments, second: Tensor, agreement: Agreement, left_out: str, ridges: Sequence[float]
) -> HeldOutError:
    """Of one left-out encoder in one fold, from `second` moments alone: the fold's about what is seen."""
    own, voters, directions = seen.columns[left_out], agreement.columns(seen), agreement.stacked()
    with_own = second[own][:, voters] @ directions
    learned = seen.scatter[own][:, voters] @ directions / seen.count
    solve = RidgeMaps(seen.covariance(left_out, left_out), learned)
    maps = [solve(ridge) for ridge in ridges]
    cross = torch.stack([(a * with_own).sum(0) for a in maps])
    power = torch.stack([(a * (second[own, own] @ a)).sum(0) for a in maps])
    return HeldOutError((directions * (second[voters][:, voters] @ directions)).sum(0), cross, power)
