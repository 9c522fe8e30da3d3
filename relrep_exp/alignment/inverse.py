"""Inverse relative projection (arXiv:2406.15057): through the cosines to parallel anchors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.parallel import (
    SMALLEST,
    AnchorsError,
    Parallel,
    Preprocessing,
    Scaler,
    rounding_share,
)
from relrep_exp.alignment.ridge import Ridge, choose_inverse, settled
from relrep_exp.alignment.translation import linear, shifted_product
from relrep_exp.training.numbers import as_shipped, wide
from relrep_exp.training.seeding import generator


@dataclass(frozen=True)
class Pruning:
    """Choose which anchors are inverted together: anchor pruning and subspaces of arXiv:2406.15057.

    Nearly collinear anchors make the inverse blow up what differs between spaces. So some are kept that lie
    far from each other; and as these span less, this is done several times.

    Attributes:
        delta: farthest-point sampling goes on while some anchor is at least this far from all that are taken,
            by the distance 1 - |cosine|, in [0, 1]. 0: every anchor is taken, once.
        subspaces: omega, so many samplings, each from a first anchor of its own; what they give is averaged.
        seed: draws the first anchors.
    """

    delta: float = 0.0
    subspaces: int = 1
    seed: int = 0

    def subsets(self, unit: Tensor) -> list[Tensor]:
        """Choose the rows of each subspace, by anchors of norm 1 in the space to reach, [n, d].

        Raises:
            AnchorsError: one alone is left.
        """
        if self.delta == 0:
            return [torch.arange(len(unit), device=unit.device)]
        firsts = torch.randperm(len(unit), generator=generator(self.seed, "anchor subspaces"))
        found = []
        for first in firsts[: self.subspaces].tolist():
            rows, nearest = [first], torch.full_like(unit[:, 0], torch.inf)
            while True:
                nearest = torch.minimum(nearest, 1 - (unit @ unit[rows[-1]]).abs())
                nearest[rows[-1]] = -1.0  # also an anchor in the centre, whose cosine with itself is 0
                farthest = int(nearest.argmax())
                if nearest[farthest] < self.delta:
                    break
                rows.append(farthest)
            found.append(torch.tensor(rows, device=unit.device))
        if min(map(len, found)) < 2:
            raise AnchorsError(f"delta={self.delta} prunes {len(unit)} anchors to one: take a smaller delta")
        return found


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

    @as_shipped()
    def __call__(self, x: Tensor) -> Tensor:
        """Map x [N, d1] -> [N, d2], in the dtype of x, float32 at least."""
        x = wide(x)
        matrix = self.before.gain[:, None] * self.matrix  # with l2 nothing is centred, and norms play no part
        moved = shifted_product(x, self.before.mean, matrix, -self.before.mean @ matrix)
        norms = moved.norm(dim=1, keepdim=True).clamp_min(SMALLEST).div_(self.length)
        return moved.div_(norms).mul_(self.after.slope().to(x)).add_(self.after.level().to(x))

    def diagnostics(self) -> dict[str, Any]:
        """Tell anchors, rank and condition number of the inverted anchors, constant features."""
        return self.told

    def tensors(self) -> dict[str, Tensor]:
        """Give the tensors that a file of the map holds."""
        ends = {**self.before.tensors("before"), **self.after.tensors("after")}
        length = self.matrix.new_tensor(self.length)
        return {"matrix": self.matrix, "length": length, **ends}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], told: dict[str, Any]) -> InverseRelativeMap:
        """Make the map again of what such a file holds."""
        before, after = (Scaler.of(tensors, end) for end in ("before", "after"))
        return cls(before, tensors["matrix"], after, float(tensors["length"]), told)


@as_shipped()
def inverse_relative(
    x: Tensor,
    y: Tensor,
    scaling: Preprocessing = "center",
    ridge: Ridge = 0.0,
    pruning: Pruning | None = None,
) -> InverseRelativeMap:
    """Estimate the map from the space of x [n, d1] to that of y [n, d2] on these parallel anchors alone.

    With unit anchors A [n, d1] of the first and B [n, d2] of the second space, x goes to x A^T (B^T)^+: its
    cosines, and of all vectors the one whose cosines in the second space come closest to them. As (B^T)^+ is
    the transpose of B^+, the matrix A^T (B^T)^+ is that of the linear translation the other way, from B to A,
    transposed. Between rotations of each other both are exact; where spaces differ, this one divides by the
    small singular values of the space to reach, and blows up what is noise there. Pruning, as in the paper,
    or a ridge takes that away; a large ridge leaves x A^T B. Of several subspaces the matrices are averaged.

    Args:
        x: anchors of the space to leave.
        y: the same samples in the space to reach.
        scaling: before norms are taken away, by the anchors' statistics; undone on the side of y.
        ridge: added to the squared singular values of B, as a share of their mean; 0 is the pseudo-inverse;
            `auto`: chosen by leaving out one anchor after the other.
        pruning: of the anchors; without, all are inverted together.

    Raises:
        AnchorsError: fewer than two, unequal numbers, not finite, or all the same.
        ValueError: no ridge.
    """
    anchors = Parallel.of(wide(x), wide(y), scaling)
    scaled_x, scaled_y = anchors.scaled()
    unit_x, unit_y = F.normalize(scaled_x, dim=1), F.normalize(scaled_y, dim=1)
    added, chosen = settled(ridge, lambda: choose_inverse(unit_x, unit_y))
    matrix, told = _through(unit_x, unit_y, added, pruning or Pruning(), anchors.tolerance)
    told = {**anchors.told(), **chosen, **told}
    length = float(scaled_y.norm(dim=1).mean())
    return InverseRelativeMap(anchors.before, matrix, anchors.after, length, told)


def reconstruction(
    x: Tensor, anchors: Tensor, ridge: Ridge = 0.0, pruning: Pruning | None = None
) -> dict[str, float]:
    """Recover directions from their own cosines to anchors, which are all that is kept, and measure how well.

    Fewer independent anchors than dimensions keep a part alone; from d on, nothing is lost.

    Args:
        x: embeddings, centred or not, as the cosines are to see them, [N, d].
        anchors: [n, d].
        ridge: as of `inverse_relative`.
        pruning: as of `inverse_relative`.

    Returns:
        `cosine`, the mean between what is recovered and x; `relative_error`, |recovered - x| / |x| over all
        rows brought to norm 1; `anchors`, their number, `rank` and `condition`, the worst of all subspaces.

    Raises:
        AnchorsError: fewer than two anchors, not finite, or all the same.
    """
    tolerance = rounding_share(wide(anchors), wide(x))
    unit, points = F.normalize(anchors.double(), dim=1), F.normalize(x.double(), dim=1)
    added, _ = settled(ridge, lambda: choose_inverse(unit, unit))
    matrix, told = _through(unit, unit, added, pruning or Pruning(), tolerance)
    recovered = points @ matrix
    error = (recovered - points).norm() / points.norm()
    cosine = F.cosine_similarity(recovered, points, dim=1).mean()
    return {
        "cosine": float(cosine),
        "relative_error": float(error),
        "anchors": float(len(anchors)),
        "rank": float(told["rank"]),
        "condition": told["condition"],
    }


def _through(
    unit_x: Tensor, unit_y: Tensor, ridge: float, pruning: Pruning, tolerance: float
) -> tuple[Tensor, dict[str, Any]]:
    """Average A^T (B^T)^+ over the subspaces, of unit anchors A [n, d1] and B [n, d2], to [d1, d2].

    What rounding makes up in B is left out. Told are the lowest rank and the largest condition number.
    """
    subsets = pruning.subsets(unit_y)
    parts = [Parallel.of(unit_y[rows], unit_x[rows], "none", tolerance=tolerance) for rows in subsets]
    backs = [linear(part, ridge) for part in parts]
    told = {
        "rank": min(back.told["rank"] for back in backs),
        "condition": max(back.told["condition"] for back in backs),
        "route": backs[0].told["route"],
        "subspaces": [len(rows) for rows in subsets],
    }
    return torch.stack([back.matrix.T for back in backs]).mean(0), told
