"""m and the ridge of a consensus by cross-validation on the support alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import Agreement, RidgeMaps, agree
from relrep_exp.alignment.moments import Moments, united

RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
FLOOR = 0.5  # a dimension is worth having where half as much of it is agreed on as of the best one


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
        for left_out in whitened:
            agreement = agree(seen, {name: d for name, d in whitened.items() if name != left_out})
            found.append(_error(seen, held, agreement, left_out, ridges))
    r = min(len(one.variance) for one in found)
    variance = torch.stack([one.variance[:r] for one in found]).sum(0)
    cross = torch.stack([one.cross[:, :r] for one in found]).sum(0)
    return HeldOutError(variance, cross, torch.stack([one.power[:, :r] for one in found]).sum(0))


def _error(
    seen: Moments, held: Moments, agreement: Agreement, left_out: str, ridges: Sequence[float]
) -> HeldOutError:
    """Of one left-out encoder in one fold, from second moments alone."""
    own, directions = held.columns[left_out], agreement.stacked(held)
    second = held.count * held.about(seen.mean)
    with_own = second[own] @ directions
    solve = RidgeMaps(seen.covariance(left_out, left_out), seen.scatter[own] @ directions / seen.count)
    maps = [solve(ridge) for ridge in ridges]
    cross = torch.stack([(a * with_own).sum(0) for a in maps])
    power = torch.stack([(a * (second[own, own] @ a)).sum(0) for a in maps])
    return HeldOutError((directions * (second @ directions)).sum(0), cross, power)
