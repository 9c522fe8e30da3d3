"""Choose the shrinkage of every encoder where encoders agree: on held-out parallel rows, without labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor

from relrep_exp.alignment.metrics import retrieve
from relrep_exp.alignment.similarity import Similarity, inner_product
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Eps, Moments, Whitening, root_scale
from relrep_exp.training.seeding import generator

Auto = Literal["auto"]
GRID = (0.0, 0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.0)
# Retrieval saturates: of nearly equal ones the largest is the best for a head, and a small gain is noise.
NEARLY = 0.005  # of all encoders together
GAIN, NEARLY_ONE = 0.002, 0.001  # of one encoder beside the others
JOIN_GAIN = 0.005  # of one that joins, over the others' common value
HELD, LEAST_HELD, FOLDS = 200, 100, 3  # rows of a fold: at most, and where one fold is enough
LEAST_ROWS = 100  # parallel rows: what fewer say is noise


@dataclass(frozen=True)
class Split:
    """One encoder in the eigenbasis of the covariance of its rows that are not held out.

    Attributes:
        held: held-out rows about the mean, in this basis, [H, d], float64.
        anchors: likewise, [m, d].
        values: eigenvalues, [d].
        basis: eigenvectors, [d, d].
    """

    held: Tensor
    anchors: Tensor
    values: Tensor
    basis: Tensor

    @classmethod
    def of(cls, moments: Moments, held: Tensor, anchors: Tensor, counted: bool = True) -> Split:
        """Turn rows [H, d] and [m, d] into the eigenbasis of the rows that are not held out.

        Args:
            moments: of all rows.
            held: held-out rows.
            anchors: other rows.
            counted: whether the held-out rows are among all rows.
        """
        rest = moments.without(Moments.of({"x": held})) if counted else moments
        values, basis = torch.linalg.eigh(rest.scatter / (rest.count - 1))
        turned = [(x.double() - rest.mean) @ basis for x in (held, anchors)]
        return cls(turned[0], turned[1], values.clamp_min(0), basis)

    def relative(self, similarity: Similarity, shrinkage: float, eps: Eps) -> Tensor:
        """Represent the held-out rows, [H, m]."""
        mean = self.values.mean()
        values = (1 - shrinkage) * self.values + shrinkage * mean + (EPS * mean if eps == "auto" else eps)
        scale = root_scale(values)
        points = [x * scale for x in (self.held, self.anchors)]
        if similarity.compare is not inner_product:  # which is blind to a rotation, as others are not
            points = [x @ self.basis.T for x in points]
        return similarity.compare(points[0], points[1]).float()  # ranks need no more


HoldOut = Callable[[Tensor, Tensor], Split]  # rows that are held out [H], and those that are anchors [m]


@dataclass(frozen=True)
class Choice:
    """The shrinkage of encoders.

    Attributes:
        common: of all together, and of one that is alone.
        own: of each that had a say.
        scores: shrinkage -> the mean reciprocal rank of held-out rows between encoders, all with this one.
    """

    common: float
    own: dict[str, float] = field(default_factory=dict)
    scores: dict[float, float] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """Tell the shrinkage of an encoder."""
        return self.own.get(name, self.common)


def held_out_parts(count: int, m: int, seed: int, folds: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """Draw which of `count` parallel rows are held out, and which of the others are anchors.

    Args:
        count: parallel rows.
        m: anchors of the run: with fewer, another shrinkage is the best one.
        seed: of the draw.
        folds: how many; by default one where it holds enough rows, else `FOLDS`.

    Returns:
        For each fold row numbers of held-out rows [H], and of anchors, at most m.
    """
    chunks = torch.randperm(count, generator=generator(seed, "held-out rows")).chunk(FOLDS)
    folds = folds or (1 if count >= FOLDS * LEAST_HELD else FOLDS)
    rest = [torch.cat([*chunks[:number], *chunks[number + 1 :]]) for number in range(folds)]
    return [(held[:HELD], others[:m]) for held, others in zip(chunks, rest, strict=False)]


def choose_on(
    spaces: Mapping[str, HoldOut],
    ids: Tensor,
    m: int,
    seed: int,
    similarity: Similarity,
    eps: Eps,
    rounds: int = 2,
) -> Choice:
    """Choose the shrinkage of encoders on their support; the paper's where nothing can be chosen.

    Args:
        spaces: encoder -> what holds out rows of it.
        ids: their parallel rows, [K].
        m: anchors of the run.
        seed: of the draw of held-out rows.
        similarity: of the run.
        eps: additive constant of Appendix B.
        rounds: in which each encoder gets its own; 0: all have the common one.
    """
    if len(spaces) < 2 or similarity.prepare != "whitened" or len(ids) < LEAST_ROWS:
        return Choice(SHRINKAGE)
    parts = [(ids[held], ids[anchors]) for held, anchors in held_out_parts(len(ids), m, seed)]
    splits = {}
    for name, hold_out in spaces.items():
        try:
            splits[name] = [hold_out(*part) for part in parts]
        except ValueError as error:
            raise ValueError(f"{name!r}: {error}") from None
    return choose(splits, similarity, eps, rounds)


def choose(
    splits: Mapping[str, Sequence[Split]], similarity: Similarity, eps: Eps, rounds: int = 2
) -> Choice:
    """Choose the shrinkage by which held-out rows of two or more encoders find each other.

    One for all first: the largest whose score is nearly the best. Then each encoder's own, in rounds of
    coordinate ascent: encoders whose rows are many or few, of large or small dimension, want unlike ones.

    Args:
        splits: encoder -> each of the same folds.
        similarity: in whitened coordinates.
        eps: additive constant of Appendix B.
        rounds: of each encoder's own.
    """

    @cache
    def represent(name: str, shrinkage: float) -> list[Tensor]:
        return [split.relative(similarity, shrinkage, eps) for split in splits[name]]

    @cache  # of two encoders, each with a shrinkage, in either order
    def score(pair: frozenset[tuple[str, float]]) -> float:
        one, other = pair
        return found(represent(*one), represent(*other))

    pairs = list(combinations(splits, 2))
    scores = {each: fmean(score(frozenset({(a, each), (b, each)})) for a, b in pairs) for each in GRID}
    common = largest(scores, NEARLY)
    own = dict.fromkeys(splits, common)
    for _ in range(rounds):
        for name in splits:
            others = [other for other in splits if other != name]
            beside = {
                each: fmean(score(frozenset({(name, each), (o, own[o])})) for o in others) for each in GRID
            }
            if max(beside.values()) > beside[own[name]] + GAIN:
                own[name] = largest(beside, NEARLY_ONE)
    return Choice(common, own, scores)


def choose_joining(
    hold_out: HoldOut,
    others: Sequence[tuple[Tensor, Whitening]],
    common: float,
    m: int,
    seed: int,
    similarity: Similarity,
    eps: Eps,
) -> float:
    """Choose the shrinkage of an encoder that joins others, which stay as they are.

    Args:
        hold_out: holds out rows of its support.
        others: the support embeddings [K, d] of each of the others, and the statistics that it has.
        common: the others' common shrinkage, kept unless another one gains clearly.
        m: anchors of the run.
        seed: of the draw of held-out rows.
        similarity: of the run.
        eps: additive constant of Appendix B.
    """
    if not others or similarity.prepare != "whitened" or len(others[0][0]) < LEAST_ROWS:
        return common
    parts = held_out_parts(len(others[0][0]), m, seed, FOLDS)
    seen = [[similarity(x[h], x[a], whitening).float() for h, a in parts] for x, whitening in others]
    splits = [hold_out(*part) for part in parts]
    beside = {}
    for each in {*GRID, common}:
        own = [split.relative(similarity, each, eps) for split in splits]
        beside[each] = fmean(found(own, other) for other in seen)
    gains = max(beside.values()) > beside[common] + JOIN_GAIN
    return largest(beside, NEARLY_ONE) if gains else common


def found(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Average the reciprocal ranks of parallel rows [H, m], both ways, over folds."""
    pairs = list(zip(ones, others, strict=True))
    return fmean(retrieve(a, b).mrr() for pair in pairs for a, b in (pair, pair[::-1]))


def largest(scores: Mapping[float, float], nearly: float) -> float:
    """Take the largest shrinkage whose score is nearly the best."""
    return max(each for each, score in scores.items() if score >= max(scores.values()) - nearly)
