"""Anchor sets, the encoders' spaces that they are chosen in, and the names of the strategies that choose.

Every strategy is a mixture: it returns the ids of K support samples and a row-stochastic P [m, K], and the
anchors of any encoder are P @ X_sub (Eq. 2). To add one, write a function and register it:

    @anchor_strategy("first")
    def first(spaces, ids, m, seed):
        return AnchorSet.picking(ids, torch.arange(m))
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Self, cast, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from relrep_exp.alignment.arrays import (
    Array,
    Embeddings,
    Rows,
    common_rows,
    given_back,
    numbers_of,
    opened,
    rows_of,
)
from relrep_exp.alignment.geometry import Split
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Eps, Moments, Whitening, gathered
from relrep_exp.errors import nearest
from relrep_exp.training.seeding import generator


class AnchorSet:
    """m anchors as mixtures of K support samples.

    Anchors that are single samples are kept as their numbers: P is made if somebody asks for it.

    Args:
        ids: row numbers of the support samples in the parallel set, int64, [K].
        weights: P, row-stochastic, [m, K].
        curves: loss per epoch where the anchors were learned, by name; empty otherwise.
        paired: how many samples were compared across encoders to choose the anchors, parallel ones therefore.

    Attributes:
        used_points: how many parallel samples it takes: those that have any part in the anchors, or `paired`.

    Raises:
        ValueError: ids are no row numbers, P has other than K columns, or is not row-stochastic.
    """

    def __init__(
        self,
        ids: Tensor | ArrayLike,
        weights: Tensor | ArrayLike,
        curves: Mapping[str, list[float]] | None = None,
        paired: int = 0,
    ):
        ids, weights = numbers_of(ids, "support ids"), rows_of(weights, "P")
        if ids.shape != weights.shape[1:]:
            raise ValueError(f"P is {tuple(weights.shape)} for {len(ids)} support ids")
        if bool((weights < 0).any()) or bool(((weights.sum(1) - 1).abs() > 1e-4).any()):
            raise ValueError("P must be row-stochastic: no entry below 0, every row summing to 1")
        self.ids, self.curves = ids, curves or {}
        mixes = bool((weights.amax(1) != 1).any())
        self._picks = None if mixes else weights.argmax(1)
        self._weights: Tensor | None = weights
        self.used_points = max(paired, int((weights > 0).any(0).sum()))

    @classmethod
    def picking(cls, ids: Tensor, columns: Tensor, paired: int = 0) -> Self:
        """Pick the support samples `columns` [m] as anchors; what `one_hot` says, without m K numbers."""
        made = cls.__new__(cls)
        made.ids, made.curves, made._picks, made._weights = ids, {}, columns, None
        made.used_points = max(paired, len(columns.unique()))
        return made

    @property
    def weights(self) -> Tensor:
        """P, row-stochastic, [m, K]."""
        if self._weights is not None:
            return self._weights
        assert self._picks is not None, "anchors are mixtures or picked"
        return one_hot(self._picks, len(self.ids))

    @overload
    def mix(self, support: Rows) -> Tensor: ...

    @overload
    def mix(self, support: ArrayLike) -> Array: ...

    def mix(self, support: Embeddings) -> Tensor | Array:
        """Mix the anchors A = P X_sub (Eq. 2), in the dtype of the support. support [K, d] -> [m, d].

        Raises:
            ValueError: support does not have K rows.
        """
        rows = rows_of(support, "support")
        if len(rows) != len(self.ids):
            raise ValueError(f"{len(rows)} support embeddings given, P mixes {len(self.ids)}")
        if self._picks is not None:  # the product, without 2 m K d multiplications by 0 and 1
            made = rows[self._picks.to(rows.device)]
        else:
            p = self.weights.to(rows)  # rows sum to 1 but for rounding, which an offset multiplies
            made = (p / p.sum(1, keepdim=True)) @ rows
        mixed: Tensor | Array = given_back(made, support)
        return mixed

    def effective_points(self) -> Tensor:
        """Count the support samples that carry each anchor: exp of the entropy of P's rows, [m]."""
        if self._picks is not None:
            return torch.ones(len(self._picks), dtype=torch.float64)
        entropy: Tensor = torch.special.entr(self.weights.double()).sum(1)
        return entropy.exp()


# (x [n, d], shrinkage, eps, which rows of an encoder's training samples x is; None: all) -> its statistics
Statistics = Callable[[Tensor, float, Eps, Tensor | None], Whitening]


class Space:
    """The training embeddings of one encoder, with its statistics computed once and kept.

    Attributes:
        x: embeddings of the parallel training samples, float32 or wider, [N, d]; `FileRows` stay in files.
        statistics: what computes or keeps them; by default they are computed.
        rows: which rows of a whole space these are, [N]; None: all.
        metric: where mean and covariance are of other samples than x (Appendix B's metric set), their space.
    """

    def __init__(
        self,
        x: Embeddings,
        statistics: Statistics | None = None,
        rows: Tensor | None = None,
        metric: Space | None = None,
    ):
        self.x: Tensor = cast(Tensor, opened(x, "x"))
        self.statistics, self.rows, self.metric = statistics, rows, metric
        self._whitenings: dict[tuple[float, Eps], Whitening] = {}
        self._splits: dict[tuple[bytes, bytes], Split] = {}

    def __len__(self) -> int:
        """N."""
        return len(self.x)

    def whitening(self, shrinkage: float = SHRINKAGE, eps: Eps = EPS) -> Whitening:
        """Estimate the whitening of this space; the same object for the same arguments."""
        if self.metric is not None:
            return self.metric.whitening(shrinkage, eps)
        key = (shrinkage, eps)
        if key not in self._whitenings:
            kept = self.statistics
            made = kept or (lambda x, *how: Whitening.of(self.moments, x[:1].dtype, *how[:2]))
            self._whitenings[key] = made(self.x, *key, self.rows)
        return self._whitenings[key]

    @cached_property
    def moments(self) -> Moments:
        """First and second moments of the metric set."""
        return gathered(self.measured)

    @property
    def measured(self) -> Tensor:
        """The metric set, of which mean and covariance are, [N, d]."""
        return self.x if self.metric is None else self.metric.x

    def split(self, held: Tensor, anchors: Tensor) -> Split:
        """Hold out rows of x for a choice of the shrinkage; the same object for the same row numbers.

        Args:
            held: row numbers of the held-out rows, [H].
            anchors: of other rows, [m].
        """
        key = (held.numpy().tobytes(), anchors.numpy().tobytes())
        if key not in self._splits:
            rows, others = (self.x[ids.to(self.x.device)] for ids in (held, anchors))
            self._splits[key] = Split.of(self.moments, rows, others, counted=self.metric is None)
        return self._splits[key]

    def picked(self, rows: Tensor) -> Space:
        """Take some rows of a whole space, [n, d], as a space with statistics of its own."""
        assert self.rows is None, "rows are numbered in a whole space"
        return Space(self.x[rows.to(self.x.device)], self.statistics, rows)


class WhitenedSpace:
    """One training encoder as a strategy sees it, which pays for whitening only if it asks for it.

    Args:
        x: embeddings of all parallel training samples, [N, d].
        statistics: their whitening, or what gives it when it is asked for.
        shrinkage: lambda of the whitening.
    """

    def __init__(
        self, x: Tensor, statistics: Whitening | Callable[[], Whitening], shrinkage: float = SHRINKAGE
    ):
        self.x, self._statistics, self.shrinkage = x, statistics, shrinkage

    @cached_property
    def whitening(self) -> Whitening:
        """Statistics of x."""
        return self._statistics if isinstance(self._statistics, Whitening) else self._statistics()

    def only(self, rows: Tensor) -> WhitenedSpace:
        """Leave out all but some rows [n], with the statistics of all."""
        return WhitenedSpace(self.x[rows.to(self.x.device)], self.whitening, self.shrinkage)

    @cached_property
    def whitened(self) -> Tensor:
        """x in whitened coordinates, [N, d]."""
        return self.whitening(self.x)


AnchorStrategy = Callable[[Mapping[str, WhitenedSpace], Tensor, int, int], AnchorSet]
# What is named by its place is imported when somebody chooses it: PARAM comes with Lightning.
ANCHORS: dict[str, AnchorStrategy | str] = {
    "random": "relrep_exp.alignment.strategies:random_anchors",
    "fps": "relrep_exp.alignment.strategies:farthest_point_anchors",
    "kmeans": "relrep_exp.alignment.strategies:kmeans_anchors",
    "collinear": "relrep_exp.alignment.strategies:collinear_anchors",
    "param": "relrep_exp.alignment.param.learn:PARAM",
    "param_single": "relrep_exp.alignment.param.learn:PARAM_SINGLE",
}


def anchor_strategy(name: str) -> Callable[[AnchorStrategy], AnchorStrategy]:
    """Register a function (spaces, support ids [K], m, seed) -> AnchorSet as the strategy `name`."""

    def register(strategy: AnchorStrategy) -> AnchorStrategy:
        known = ANCHORS.get(name)
        if known is not None and (isinstance(known, str) or known.__module__ != strategy.__module__):
            raise ValueError(f"anchor strategy {name!r} exists already: choose another name")
        ANCHORS[name] = strategy
        return strategy

    return register


def get_anchor_strategy(name: str) -> AnchorStrategy:
    """Look up the registered strategy `name`.

    Raises:
        ValueError: there is none; the message has the nearest, and all there are.
    """
    if name not in ANCHORS:
        raise ValueError(f"no anchor strategy {name!r}: {nearest(name, ANCHORS)}")
    strategy = ANCHORS[name]
    if isinstance(strategy, str):
        module, _, attribute = strategy.partition(":")
        found: AnchorStrategy = getattr(importlib.import_module(module), attribute)
        return found
    return strategy


def draw_support(n: int, size: int, seed: int) -> Tensor:
    """Draw the row numbers of the support set: min(size, n) of n samples, sorted, int64, [K]."""
    order = torch.randperm(n, generator=generator(seed, "support"))
    return order[: min(size, n)].sort().values


def one_hot(columns: Tensor, size: int) -> Tensor:
    """Make the P whose r-th row picks support sample columns[r]. columns [m] -> [m, size]."""
    weights = torch.zeros(len(columns), size, dtype=torch.float32)
    weights[torch.arange(len(columns)), columns] = 1.0
    return weights


def choose_anchors(
    strategy: AnchorStrategy,
    spaces: Mapping[str, Space],
    m: int,
    *,
    support: int,
    seed: int,
    shrinkage: Mapping[str, float] | None = None,
    eps: Eps = EPS,
) -> AnchorSet:
    """Choose m anchors among `support` samples, by a strategy that sees these encoders.

    Args:
        strategy: what chooses.
        spaces: embeddings of the same training samples by each encoder.
        m: number of anchors.
        support: K, at most.
        seed: draws the support set and whatever the strategy draws.
        shrinkage: lambda of each encoder; by default the paper's.
        eps: additive constant of Appendix B.

    Raises:
        ValueError: no encoder, or rows that are not parallel.
    """
    rows = common_rows(spaces)
    seen = {}
    for name, space in spaces.items():
        own = SHRINKAGE if shrinkage is None else shrinkage[name]
        seen[name] = WhitenedSpace(space.x, partial(space.whitening, own, eps), own)
    return strategy(seen, draw_support(rows, support, seed), m, seed)
