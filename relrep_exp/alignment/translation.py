"""Latent translation (arXiv:2311.00664): affine, linear, l-ortho and ortho maps; Parseval frames.

Every map scales what comes in by the anchors' statistics, multiplies by a matrix, and undoes the scaling of
the other space. All of it is one product and one offset: y = x W + b.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from relrep_exp.alignment.parallel import SMALLEST, Parallel, Preprocessing, Scaler
from relrep_exp.alignment.ridge import Ridge, choose_linear, settled
from relrep_exp.alignment.whitening import centred_product
from relrep_exp.errors import nearest
from relrep_exp.training.numbers import as_shipped, wide

Kind = Literal["affine", "linear", "l_ortho", "ortho", "parseval"]
QUICK_FROM = 10**10  # multiplications from which float32 products are tried first
QUICK_LIMIT = 1e3  # by how much a map may amplify their error, about 1e-7, and stand
GRAM_LIMIT = 1e10  # of x^T x: beyond, less than half of float64's digits are left, and the SVD of x keeps all
# aligners of the command line that are no translation, and what they are in Python
OTHERS = {
    "relative": "RelativeSpace",
    "consensus": "Consensus",
    "gpa": "Gpa",
    "ridge_cca": "RidgeCca",
    "inverse_relative": "InverseRelative",
}


@dataclass(frozen=True)
class TranslationMap:
    """A map from one space to another.

    Attributes:
        before: scales what comes in.
        matrix: between scaled spaces, [d1, d2].
        after: what goes out is scaled by it.
        told: what is known of the estimate.
    """

    before: Scaler
    matrix: Tensor
    after: Scaler
    told: dict[str, Any]

    @as_shipped()
    def __call__(self, x: Tensor) -> Tensor:
        """Map x [N, d1] -> [N, d2], in the dtype of x, float32 at least."""
        x, (matrix, offset) = wide(x), self.folded()
        if self.before.length is not None:
            norms = x.norm(dim=1, keepdim=True).clamp_min(SMALLEST)
            return (x @ matrix.to(x)).div_(norms).add_(offset.to(x))
        return shifted_product(x, self.before.mean, matrix, offset)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Fold both scalings and the matrix into W [d1, d2] and b [d2]; with l2 of rows of norm 1."""
        matrix = self.before.gain[:, None] * self.matrix * self.after.slope()
        return matrix, self.after.level() - self.before.mean @ matrix

    def inverse(self) -> TranslationMap:
        """Make the way back: the transposed map of orthogonal ones and frames, else the pseudo-inverse."""
        transposed = self.told["kind"] in ("ortho", "l_ortho", "parseval")
        back = self.matrix.T if transposed else torch.linalg.pinv(self.matrix)
        return TranslationMap(self.after, back, self.before, self.told)

    def diagnostics(self) -> dict[str, Any]:
        """Tell anchors, rank and condition number, constant features, how it was solved."""
        return self.told

    def tensors(self) -> dict[str, Tensor]:
        """Give the tensors that a file of the map holds."""
        return {"matrix": self.matrix, **self.before.tensors("before"), **self.after.tensors("after")}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], told: dict[str, Any]) -> TranslationMap:
        """Make the map again of what such a file holds."""
        before, after = (Scaler.of(tensors, end) for end in ("before", "after"))
        return cls(before, tensors["matrix"], after, told)


def shifted_product(x: Tensor, mean: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Multiply x matrix + offset in the dtype of x, the mean taken off first: far from 0 the sum cancels.

    Args:
        x: [N, d1].
        mean: of such rows, float64, [d1].
        matrix: float64, [d1, d2].
        offset: float64, [d2].
    """
    shift = mean.to(x)  # as x is rounded, and the product gets back what that leaves of the mean
    left = (offset + shift.double() @ matrix).to(x)
    if not bool(shift.any()):
        return torch.addmm(left, x, matrix.to(x))
    return centred_product(x, shift, matrix.to(x)).add_(left)


@dataclass(frozen=True)
class Estimate:
    """A matrix between scaled spaces.

    Attributes:
        matrix: [d1, d2].
        amplifies: by how much an error of the sums of products may grow in it.
        told: rank, condition, route.
    """

    matrix: Tensor
    amplifies: float
    told: dict[str, Any]


@dataclass(frozen=True)
class Descent:
    """Full-batch gradient descent by Adam: steps and learning rate."""

    steps: int
    lr: float


@as_shipped()
def translation(
    kind: Kind,
    x: Tensor,
    y: Tensor,
    scaling: Preprocessing = "standard",
    ridge: Ridge = 0.0,
    descent: Descent | None = None,
) -> TranslationMap:
    """Estimate the map from the space of x [n, d1] to that of y [n, d2] on these parallel anchors alone.

    Computed in float64. Of many float32 anchors the sums of products are taken in float32 first, and again in
    float64 if the map would amplify their error, about 1e-7, by more than 1e3.

    Args:
        kind: `affine`, `linear`, `l_ortho`, `ortho` or `parseval`.
        x: anchors of the space to leave.
        y: the same samples in the space to reach.
        scaling: of both spaces, by the anchors' statistics; undone on the side of y.
        ridge: of all but `ortho` and `parseval`: added to the squared singular values of scaled x, as a share
            of their mean; `auto`: chosen by leaving out one anchor after the other, for `l_ortho` that of the
            linear map.
        descent: of `affine`: by gradient descent; in closed form without.

    Raises:
        AnchorsError: fewer than two, unequal numbers, not finite, or all the same.
        ValueError: an unknown kind or scaling, no ridge, one with `ortho` or `parseval`, or `descent` with
            another kind than `affine`.
    """
    if kind in OTHERS:
        raise ValueError(f"{kind!r} is no translation: in Python it is relrep_exp.{OTHERS[kind]}")
    if kind not in _ESTIMATES:
        raise ValueError(f"no translation {kind!r}: {nearest(kind, _ESTIMATES)}")
    if (descent and kind != "affine") or (ridge and kind in ("ortho", "parseval")):
        raise ValueError(f"{kind}: gradient descent is for affine alone, ortho and parseval have no ridge")

    x, y = wide(x), wide(y)

    def estimate(exact: bool) -> tuple[Parallel, Estimate, dict[str, Any]]:
        anchors = Parallel.of(x, y, scaling, exact=exact, centre=kind == "affine")
        added, chosen = settled(ridge, lambda: choose_linear(anchors))
        found = _descend(anchors, added, descent) if descent else _ESTIMATES[kind](anchors, added)
        return anchors, found, chosen

    work = len(x) * x.shape[-1] * (x.shape[-1] + y.shape[-1])
    quick = descent is None and work >= QUICK_FROM and x.dtype == y.dtype == torch.float32
    anchors, found, chosen = estimate(exact=not quick)
    if quick and not found.amplifies <= QUICK_LIMIT:
        anchors, found, chosen = estimate(exact=True)
    told = {"kind": kind, **anchors.told(), **chosen, **found.told}
    return TranslationMap(anchors.before, found.matrix, anchors.after, told)


def ortho(anchors: Parallel, ridge: float) -> Estimate:
    """Solve Procrustes: R that minimises |x R - y|, R orthogonal after zero-padding to equal dimensions.

    R = U V^T of the singular vectors of x^T y. Directions of which the anchors say nothing (fewer anchors
    than dimensions, dead units) could be turned anyhow; they are mapped to 0, that is to the anchors' mean,
    so that R is a partial isometry. Padding adds such directions alone, so none is needed.
    """
    if anchors.xy is not None:
        return _isometry(anchors.xy, anchors.tolerance, "svd")
    x, y = anchors.scaled()  # fewer anchors than dimensions: x^T y has their rank, and a core [n, n] holds it
    (q_x, r_x), (q_y, r_y) = torch.linalg.qr(x.T), torch.linalg.qr(y.T)
    core = _isometry(r_x @ r_y.T, anchors.tolerance, "thin")
    return Estimate(q_x @ core.matrix @ q_y.T, core.amplifies, core.told)


def linear(anchors: Parallel, ridge: float) -> Estimate:
    """Solve least squares, of least norm where anchors are few; on centred anchors it is `affine`."""
    basis, core = least_squares(anchors, ridge)
    return Estimate(basis @ core.matrix, core.amplifies, core.told)


def l_ortho(anchors: Parallel, ridge: float) -> Estimate:
    """Find the orthogonal map nearest to the linear one; a partial isometry as `ortho` is."""
    basis, core = least_squares(anchors, ridge)
    turned = _isometry(core.matrix, anchors.tolerance, core.told["route"])
    told = core.told | {"rank": turned.told["rank"]}
    return Estimate(basis @ turned.matrix, core.amplifies * turned.amplifies, told)


def least_squares(anchors: Parallel, ridge: float) -> tuple[Tensor, Estimate]:
    """Minimise |x W - y|^2 + added |W|^2 over scaled anchors, of least norm where they leave W open.

    By the normal equations where they are safe, else by the singular values of x.

    Args:
        anchors: n parallel anchors.
        ridge: added to the squared singular values, as a share of their mean.

    Returns:
        W as orthonormal columns [d1, k] times a core [k, d2].
    """
    if anchors.xx is not None and anchors.xy is not None:
        # features that are all zero, as dead units are once centred, have no part: that is the least norm
        alive = (anchors.xx.diagonal() > 0).nonzero()[:, 0]
        gram = anchors.xx[alive][:, alive]
        values = torch.linalg.eigvalsh(gram)
        added = ridge * values.sum() / min(len(anchors.x), len(alive))
        if bool(values[0] + added > (values[-1] + added) / GRAM_LIMIT):
            gram.diagonal().add_(added)
            core = torch.cholesky_solve(anchors.xy[alive], torch.linalg.cholesky(gram))
            kept = values[values > values[-1] / GRAM_LIMIT]
            condition = float((kept[-1] / kept[0]).sqrt())
            basis = torch.eye(len(anchors.xx), dtype=core.dtype, device=core.device)[:, alive]
            told = {"rank": len(kept), "condition": condition, "route": "cholesky"}
            return basis, Estimate(core, condition**2, told)
    x, y = anchors.scaled()
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    added = ridge * values.square().sum() / min(len(x), int((x != 0).any(0).sum()))
    counts = values > values[0] * anchors.tolerance
    values, left, right = values[counts], left[:, counts], right[counts]
    core = (values / (values.square() + added))[:, None] * (left.T @ y)
    told = {"rank": len(values), "condition": float(values[0] / values[-1]), "route": "svd"}
    return right.T, Estimate(core, 0.0, told)  # no sums of products in it, whose error it could amplify


def parseval(anchors: Parallel, ridge: float) -> Estimate:
    """Make each space's anchors a Parseval frame, and write in one what the other reads (arXiv:2507.17835).

    The frame of anchors A [n, d] is F = A (A^T A)^-1/2, so that F^T F = I: no direction counts more for
    having more or longer anchors. x has the coefficients x F_x^T, and F_y sums them up: x F_x^T F_y. Nothing
    is fitted to pairs; between rotations of each other this is exact. Fewer anchors than dimensions keep
    their span.
    """
    frames = []
    for side in anchors.scaled():
        left, values, right = torch.linalg.svd(side, full_matrices=False)
        kept = values > values[0] * anchors.tolerance
        frames.append((left[:, kept] @ right[kept], values[kept]))
    told = {
        "rank": min(len(values) for _, values in frames),
        "condition": max(float(values[0] / values[-1]) for _, values in frames),
        "route": "svd",
    }
    return Estimate(frames[0][0].T @ frames[1][0], 0.0, told)


def _isometry(matrix: Tensor, tolerance: float, route: str) -> Estimate:
    """Find the partial isometry nearest to a matrix [a, b]: U V^T of the singular vectors that count."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = values > values[0] * tolerance
    values = values[kept] if bool(kept.any()) else torch.ones_like(values[:1])
    told = {"rank": int(kept.sum()), "condition": float(values[0] / values[-1]), "route": route}
    # an error E of the matrix turns the pair i, j of singular vectors by about E_ij / (s_i + s_j)
    grown = 2 * values[0] / (values + values[:, None])
    return Estimate(left[:, kept] @ right[kept], float(grown.square().mean().sqrt()), told)


def _descend(anchors: Parallel, ridge: float, descent: Descent) -> Estimate:
    """Solve least squares by full-batch Adam in float64, as the paper fits `affine`.

    The loss is the mean squared error of centred anchors, so that the offset is that of the means at every
    step and needs none of its own. Its gradient needs x^T x and x^T y alone. It starts at 0, as the problem
    is convex: a start at random would stay in the directions that the anchors leave open.
    """
    x, y = anchors.scaled()
    xx, xy = (x.T @ x, x.T @ y) if anchors.xx is None or anchors.xy is None else (anchors.xx, anchors.xy)
    size, added = y.numel(), ridge * xx.diagonal().sum() / min(len(x), int((x != 0).any(0).sum()))
    matrix = torch.zeros_like(xy).requires_grad_()
    adam = torch.optim.Adam([matrix], lr=descent.lr)
    for _ in range(descent.steps):
        with torch.no_grad():
            matrix.grad = (xx @ matrix + added * matrix - xy) * (2 / size)
        adam.step()
    found = matrix.detach()
    gradient = (xx @ found + added * found - xy).norm() / xy.norm()
    told = {"route": "gradient", "steps": descent.steps, "lr": descent.lr, "gradient": float(gradient)}
    return Estimate(found, 1.0, told)


_ESTIMATES: dict[str, Callable[[Parallel, float], Estimate]] = {
    "affine": linear,  # its anchors are centred
    "linear": linear,
    "l_ortho": l_ortho,
    "ortho": ortho,
    "parseval": parseval,
}
