"""m and the ridge of a consensus by cross-validation on the support alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import Agreement, RidgeMaps, agree
from relrep_exp.alignment.moments import Moments, united

RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
FLOOR = 0.5  # a dimension is worth having where more of it is agreed on than not


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
        error: squared difference from it of what the left-out encoder's map says, [ridges, r].
    """

    variance: Tensor
    error: Tensor

    def choose(self, m: int | None, ridges: Sequence[float]) -> Choice:
        """The m, where it is not given, and the ridge with the largest sum of FLOOR x variance - error.

        Of equals the smaller m and the ridge that is named first.
        """
        gains = (FLOOR * self.variance - self.error).cumsum(1)
        first = 0 if m is None else min(m, len(self.variance)) - 1
        considered = gains if m is None else gains[:, first : first + 1]
        row, column = divmod(int(considered.flatten().argmax()), considered.shape[1])
        size = first + column + 1
        score = 1 - self.error[row, :size].sum() / self.variance[:size].sum()
        return Choice(size if m is None else m, ridges[row], float(score))


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
    return HeldOutError(variance, torch.stack([one.error[:, :r] for one in found]).sum(0))


def _error(
    seen: Moments, held: Moments, agreement: Agreement, left_out: str, ridges: Sequence[float]
) -> HeldOutError:
    """Of one left-out encoder in one fold: E (c - a)^2 = E c^2 - 2 E a c + E a^2 from second moments."""
    own, directions = held.columns[left_out], agreement.stacked(held)
    second = held.count * held.about(seen.mean)
    variance, cross = (directions * (second @ directions)).sum(0), second[own] @ directions
    maps = RidgeMaps(seen.covariance(left_out, left_out), seen.scatter[own] @ directions / seen.count)
    error = []
    for a in map(maps, ridges):
        error.append(variance - 2 * (a * cross).sum(0) + (a * (second[own, own] @ a)).sum(0))
    return HeldOutError(variance, torch.stack(error))
