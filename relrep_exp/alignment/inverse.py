"""Inverse relative projection (arXiv:2406.15057): through the cosines to parallel anchors, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.parallel import SMALLEST, Parallel, Preprocessing, Scaler, rounding_share
from relrep_exp.alignment.ridge import Ridge, choose_inverse, settled
from relrep_exp.alignment.translation import Estimate, linear


@dataclass(frozen=True)
class InverseRelativeMap:
    """Cosines to the anchors of one space, inverted with the anchors of another: one matrix, then a norm.

    Attributes:
        before: scales what comes in.
        matrix: unit anchors of the first space, transposed, times the inverse of the second's, [d1, d2].
        after: what goes out is scaled by it.
        length: mean norm of the second space's scaled anchors, which everything that goes out is given:
            cosines know no norms, and the decoder is taken not to ask for them.
        told: what is known of the estimate.
    """

    before: Scaler
    matrix: Tensor
    after: Scaler
    length: float
    told: dict[str, Any]

    def __call__(self, x: Tensor) -> Tensor:
        """Map x [N, d1] -> [N, d2], in the dtype of x."""
        matrix = self.before.gain[:, None] * self.matrix  # with l2 nothing is centred, and norms play no part
        moved = torch.addmm((-self.before.mean @ matrix).to(x), x, matrix.to(x))
        norms = moved.norm(dim=1, keepdim=True).clamp_min(SMALLEST).div_(self.length)
        return moved.div_(norms).mul_(self.after.slope().to(x)).add_(self.after.level().to(x))

    def diagnostics(self) -> dict[str, Any]:
        """Tell anchors, rank and condition number of the inverted anchors, constant features."""
        return self.told


def inverse_relative(
    x: Tensor, y: Tensor, scaling: Preprocessing = "center", ridge: Ridge = 0.0
) -> InverseRelativeMap:
    """Estimate the map from the space of x [n, d1] to that of y [n, d2] on these parallel anchors alone.

    With unit anchors A [n, d1] of the first and B [n, d2] of the second space, x goes to x A^T (B^T)^+: its
    cosines, and of all vectors the one whose cosines in the second space come closest to them. As (B^T)^+ is
    the transpose of B^+, the matrix A^T (B^T)^+ is that of the linear translation the other way, from B to A,
    transposed. Between rotations of each other both are exact; where spaces differ, this one divides by the
    small singular values of the space to reach, and blows up what is noise there. A ridge takes that away; a
    large one leaves x A^T B.

    Args:
        x: anchors of the space to leave.
        y: the same samples in the space to reach.
        scaling: before norms are taken away, by the anchors' statistics; undone on the side of y.
        ridge: added to the squared singular values of B, as a share of their mean; 0 is the pseudo-inverse;
            `auto`: chosen by leaving out one anchor after the other.

    Raises:
        AnchorsError: fewer than two, unequal numbers, not finite, or all the same.
        ValueError: no ridge.
    """
    anchors = Parallel.of(x, y, scaling)
    scaled_x, scaled_y = anchors.scaled()
    unit_x, unit_y = F.normalize(scaled_x, dim=1), F.normalize(scaled_y, dim=1)
    added, chosen = settled(ridge, lambda: choose_inverse(unit_x, unit_y))
    back = _invert(unit_y, unit_x, added, anchors.tolerance)
    told = {**anchors.told(), **chosen, **back.told}
    length = float(scaled_y.norm(dim=1).mean())
    return InverseRelativeMap(anchors.before, back.matrix.T, anchors.after, length, told)


def reconstruction(x: Tensor, anchors: Tensor, ridge: Ridge = 0.0) -> dict[str, float]:
    """Recover directions from their own cosines to anchors, which are all that is kept, and measure how well.

    Fewer independent anchors than dimensions keep a part alone; from d on, nothing is lost.

    Args:
        x: embeddings, centred or not, as the cosines are to see them, [N, d].
        anchors: [n, d].
        ridge: as of `inverse_relative`.

    Returns:
        `cosine`, the mean between what is recovered and x; `relative_error`, |recovered - x| / |x| over all
        rows brought to norm 1; `anchors`, their number, `rank` and `condition`.

    Raises:
        AnchorsError: fewer than two anchors, not finite, or all the same.
    """
    tolerance = rounding_share(anchors, x)
    unit, points = F.normalize(anchors.double(), dim=1), F.normalize(x.double(), dim=1)
    found = _invert(unit, unit, settled(ridge, lambda: choose_inverse(unit, unit))[0], tolerance)
    recovered = points @ found.matrix.T
    error = (recovered - points).norm() / points.norm()
    cosine = F.cosine_similarity(recovered, points, dim=1).mean()
    return {
        "cosine": float(cosine),
        "relative_error": float(error),
        "anchors": float(len(anchors)),
        "rank": float(found.told["rank"]),
        "condition": found.told["condition"],
    }


def _invert(unit: Tensor, other: Tensor, ridge: float, tolerance: float) -> Estimate:
    """Solve for B^+ A of unit anchors B [n, d2] and A [n, d1]; what rounding makes up in B is left out."""
    return linear(Parallel.of(unit, other, "none", tolerance=tolerance), ridge)
