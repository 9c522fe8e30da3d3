"""Similarities s(x, a) between embeddings and anchors; a relative representation is a row of them (Eq. 1).

A similarity is one function of two sets of prepared points; `prepare` says in which coordinates it
compares: `raw`, `unit` (rows of length one), `centred` (the same about the encoder's mean) or `whitened`
(Eq. 4). To add one, write

    @similarity("tanh", prepare="whitened")
    def tanh(x, anchors):
        return torch.tanh(x @ anchors.T)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.parallel import SMALLEST
from relrep_exp.alignment.whitening import Whitening, centred_product
from relrep_exp.errors import nearest
from relrep_exp.training.numbers import as_shipped, wide

CLOSE = 1e-6  # of |u|^2 + |v|^2: a smaller |u - v|^2 has lost six of float64's sixteen digits
SMALLEST_SQUARE = torch.finfo(torch.float64).tiny
Compare = Callable[[Tensor, Tensor], Tensor]
Coordinates = Literal["raw", "unit", "centred", "whitened"]


@dataclass(frozen=True)
class Similarity:
    """One similarity: the coordinates it works in and the comparison itself.

    Attributes:
        name: as on the command line, `sim=NAME`.
        prepare: which coordinates `compare` is given.
        compare: x [N, d], anchors [m, d] -> [N, m].
    """

    name: str
    prepare: Coordinates
    compare: Compare

    def __call__(self, x: Tensor, anchors: Tensor, whitening: Whitening | None) -> Tensor:
        """Compute relative representations (Eq. 1). x [N, d], anchors [m, d] -> [N, m]."""
        return self.compare(self.points(x, whitening), self.points(anchors, whitening))

    def points(self, x: Tensor, whitening: Whitening | None) -> Tensor:
        """Bring x [N, d] into the coordinates of this similarity, [N, d]."""
        x = wide(x)
        if self.prepare == "raw":
            return x
        if self.prepare == "unit":
            return F.normalize(x, dim=-1)
        if whitening is None:
            raise ValueError(f"similarity {self.name!r} needs the statistics of the space")
        if self.prepare == "centred":
            return F.normalize((x - whitening.mean).to(x.dtype), dim=-1)
        return whitening(x)


def inner_product(x: Tensor, anchors: Tensor) -> Tensor:
    """Multiply, <x, a>. On unit rows this is cosine, in whitened coordinates the WIP of Eq. 4."""
    return x @ anchors.T


def euclidean(x: Tensor, anchors: Tensor) -> Tensor:
    """Measure the distance |x - a|_2, as latentis has it (a distance, not its negative).

    By |u|^2 - 2 <u, v> + |v|^2 of float64 about the anchors' mean, several times faster than differences;
    those are taken where that cancels, for rows that are close to an anchor.
    """
    centre = anchors.double().mean(0)
    u, v = x.double() - centre, anchors.double() - centre
    sizes = u.square().sum(1)[:, None] + v.square().sum(1)
    squares = torch.addmm(sizes, u, v.T, alpha=-2.0)
    distances = squares.clamp_min(SMALLEST_SQUARE).sqrt()  # whose slope at 0 is infinite
    close = (squares < CLOSE * sizes).any(1).nonzero()
    if len(close):
        direct = torch.cdist(u[close[:, 0]], v, compute_mode="donot_use_mm_for_euclid_dist")
        distances = distances.index_put((close[:, 0],), direct)
    return distances.to(x.dtype)


def l1(x: Tensor, anchors: Tensor) -> Tensor:
    """Measure the distance |x - a|_1, as latentis has it."""
    return torch.cdist(x, anchors, p=1.0)


def angular(x: Tensor, anchors: Tensor) -> Tensor:
    """Measure the angle between x and a over pi, in [0, 1], as latentis has it.

    With u and v the directions, it is 2 atan(|u - v| / |u + v|) (Kahan), exact at 0, where arccos is not.
    Directions are of float64: those of rows far from the origin differ by little.
    """
    u, v = (F.normalize(points.double(), dim=-1) for points in (x, anchors))
    apart = euclidean(u, v)
    together = (4.0 - apart.square()).clamp_min(SMALLEST_SQUARE).sqrt()
    return (2 / torch.pi * torch.atan2(apart, together)).to(x.dtype)


def change_of_basis(x: Tensor, anchors: Tensor) -> Tensor:
    """Solve for c with min |c A - x|, of least norm: coordinates in the basis A, as latentis has it.

    In float64, as a basis far from the origin is badly conditioned. Directions in which anchors have no more
    than the rounding of float32 are none.
    """
    rounding = 2 * torch.finfo(torch.float32).eps
    solved: Tensor = x.double() @ torch.linalg.pinv(anchors.double(), rtol=rounding)
    return solved.to(x.dtype)


def product(x: Tensor, anchors: Tensor) -> Tensor:
    """Sum what cosine, |.|_2, |.|_1 and |.|_max say, as in a product of invariances (arXiv:2310.01211).

    Distances count with their sign turned, as near is alike. Each is standardised over a row's anchors, so
    that none counts for its scale; the paper's aggregations that are trained with the decoder are left out.
    """
    directions = F.normalize(x, dim=-1) @ F.normalize(anchors, dim=-1).T
    furthest = torch.cdist(x, anchors, p=torch.inf)
    parts = torch.stack([directions, -euclidean(x, anchors), -l1(x, anchors), -furthest]).double()
    spread = parts.std(2, correction=0, keepdim=True).clamp_min(SMALLEST)
    summed: Tensor = ((parts - parts.mean(2, keepdim=True)) / spread).sum(0)
    return summed.to(x.dtype)


SIMILARITIES = {
    made.name: made
    for made in (
        Similarity("wip", "whitened", inner_product),
        Similarity("cosine", "unit", inner_product),
        Similarity("centred_cosine", "centred", inner_product),
        Similarity("inner", "raw", inner_product),
        Similarity("euclidean", "raw", euclidean),
        Similarity("l1", "raw", l1),
        Similarity("angular", "raw", angular),
        Similarity("change_of_basis", "raw", change_of_basis),
        Similarity("product", "raw", product),
    )
}


@dataclass(frozen=True, eq=False)
class Bound:
    """The map x [N, d] -> [N, m] for fixed anchors, all that depends on them alone computed once.

    Attributes:
        similarity: what compares.
        whitening: statistics of the encoder.
        points: the anchors as they are compared, [m, d]; as the factor of a product, [d, m], where it is one.
    """

    similarity: Similarity
    whitening: Whitening
    points: Tensor

    @as_shipped()
    def __call__(self, x: Tensor) -> Tensor:
        """Compare x [N, d] with the anchors, [N, m]."""
        similarity, product = self.similarity, self.similarity.compare is inner_product
        if product and similarity.prepare == "whitened":
            return centred_product(x, self.whitening.mean, self.points)
        if product and similarity.prepare == "unit":
            cosines: Tensor = (x @ self.points.to(x.dtype)) / x.norm(dim=1, keepdim=True).clamp_min(SMALLEST)
            return cosines
        return similarity.compare(similarity.points(x.to(self.points.dtype), self.whitening), self.points)


def bind(similarity: Similarity, anchors: Tensor, whitening: Whitening) -> Bound:
    """Bind a similarity to anchors [m, d].

    WIP folds both whitenings into the anchors: (x - mu) Sigma^-1 (a - mu) is one product per x (Eq. 4), in
    the dtype of the statistics. Cosine divides the products by the norms, as there are fewer of them than
    entries of x, and is in the dtype of x. All others are in the dtype of the anchors.
    """
    points = similarity.points(anchors, whitening)
    if similarity.prepare == "whitened" and similarity.compare is inner_product:
        points = (points @ whitening.matrix).T.contiguous()
    if similarity.prepare == "unit" and similarity.compare is inner_product:
        points = points.T.contiguous()
    return Bound(similarity, whitening, points)


def similarity(name: str, prepare: Coordinates = "raw") -> Callable[[Compare], Compare]:
    """Register a function x [N, d], anchors [m, d] -> [N, m] as the similarity `name`."""

    def register(compare: Compare) -> Compare:
        if name in SIMILARITIES and SIMILARITIES[name].compare.__module__ != compare.__module__:
            raise ValueError(f"similarity {name!r} exists already: choose another name")
        SIMILARITIES[name] = Similarity(name, prepare, compare)
        return compare

    return register


def get_similarity(name: str) -> Similarity:
    """Look up the registered similarity `name`.

    Raises:
        ValueError: there is none; the message has the nearest, and all there are.
    """
    if name not in SIMILARITIES:
        raise ValueError(f"no similarity {name!r}: {nearest(name, SIMILARITIES)}")
    return SIMILARITIES[name]
