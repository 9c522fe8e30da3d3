"""Ranks and nearest rows by cosine as float64 has them, at the speed of float32's products.

Where all rows have a part in common, as those of language models do, cosines crowd: float32 has seven digits
of each, and they differ in the last. With q and c of length one, q about nu and c about mu,

    cos(q, c) = q mu + (q - nu) (c - mu) + nu (c - mu),

whose first term is the same for all keys of a query and changes no rank. The others are as small as cosines
differ, so that all their digits count. What they leave closer together than rounding is compared in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.training.numbers import as_shipped

EPS, EPS64 = torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps
ROUNDING = 2.0  # of a sum of k products, in eps sqrt(k) |q| |c|: seven standard deviations of the worst
UNIT_ROWS = 512  # brought to length one at a time, in float64
CACHE_BLOCK = 2**20  # cosines that are counted while they are in a processor's cache
DEVICE_BLOCK = 2**23  # and where a call takes longer than what it does
CHUNK = 64  # cosines of which the largest is found first
PAIRS = 2**12  # compared at a time in float64


@dataclass(frozen=True)
class Keys:
    """Keys as queries are compared with them.

    Attributes:
        rows: as they were given, [N, k].
        mean: mu, about that of the rows of length one, float64, [k].
        of_queries: nu, about that of the queries, [k].
        columns: c - mu, then nu (c - mu), then 1, float32, [N, k + 2].
        reach: largest |c - mu|.
        lift: largest |nu (c - mu)|.
        lost: whether any key has no direction, as a number in it is not finite.
    """

    rows: Tensor
    mean: Tensor
    of_queries: Tensor
    columns: Tensor
    reach: float
    lift: float
    lost: bool

    @classmethod
    def of(cls, keys: Tensor, queries: Tensor) -> Keys:
        """Prepare keys [N, k], for queries [N, k]."""
        mean, of_queries, parts = _mean_direction(keys), _mean_direction(queries), []
        columns = torch.ones(len(keys), keys.shape[1] + 2, dtype=torch.float32, device=keys.device)
        for rows in _parts(len(keys), UNIT_ROWS):
            apart = unit(keys[rows]).sub_(mean)
            lifts = apart @ of_queries
            columns[rows, :-2], columns[rows, -2] = apart, lifts
            parts.append(torch.stack([apart.norm(dim=1), lifts.abs()], dim=1))
        sizes = torch.cat(parts)
        reach, lift = sizes.nan_to_num().amax(0).tolist()
        return cls(keys, mean, of_queries, columns, reach, lift, bool(sizes.isnan().any()))

    def rounding(self, moved: Tensor) -> Tensor:
        """Bound what float32 makes of a query's products with the columns; q - nu [b, k] -> [b]."""
        product = ROUNDING * moved.shape[1] ** 0.5 * moved.norm(dim=1) * self.reach
        return EPS * (product + 4 * self.lift) + 64 * EPS64


@dataclass(frozen=True)
class Queries:
    """Some queries and their partners among the keys.

    Attributes:
        unit: of length one, float64, [b, k].
        partners: keys of length one, float64, [b, k].
        own: of each, q (c - mu) of its partner, [b].
        left: times a key's columns: by how many bands its cosine is above the partner's, float32, [b, k + 2].
    """

    unit: Tensor
    partners: Tensor
    own: Tensor
    left: Tensor

    @classmethod
    def of(cls, queries: Tensor, partners: Tensor, keys: Keys) -> Queries:
        """Prepare queries [b, k] whose partners [b, k] are among the keys; in a band float32 cannot tell."""
        q, c = unit(queries), unit(partners)
        own, moved = torch.linalg.vecdot(q, c - keys.mean), q - keys.of_queries
        # keys that are one but for the rounding of float32 must come to be compared: the second distance
        band = keys.rounding(moved) + 4 * EPS * (own.abs() + (q - c).norm(dim=1))
        left = torch.cat([moved, torch.ones_like(own)[:, None], -own[:, None]], dim=1).div_(band[:, None])
        return cls(q, c, own, left.float())


@as_shipped()
def ranks(queries: Tensor, keys: Tensor, block_elements: int | None = None) -> Tensor:
    """Rank key i among all keys for query i, by cosine; ties share the mean of their ranks.

    Keys tie whose cosines float64 cannot tell apart, and those that are the same but for the rounding of
    their own numbers. A query without a direction (NaN) has rank NaN.

    Args:
        queries: [N, k].
        keys: [N, k].
        block_elements: cosines held at once, by default as many as the device is fast with; changes no rank.

    Returns:
        [N], float64.
    """
    against = Keys.of(keys, queries)
    elements = block_elements or (DEVICE_BLOCK if keys.device.type == "cuda" else CACHE_BLOCK)
    side = min(len(keys), max(1, int(elements**0.5)))
    held, found = against.columns.new_empty(side * side), []
    for rows in _parts(len(queries), side):
        block = Queries.of(queries[rows], keys[rows], against)
        count = _Count(block, against)
        for columns in _parts(len(keys), side):
            right = against.columns[columns]
            beyond = held[: len(block.own) * len(right)].view(-1, len(right))
            torch.mm(block.left, right.T, out=beyond).clamp_(-1.0, 1.0)
            if against.lost:
                beyond.nan_to_num_(nan=-1.0)
            if columns == rows:
                beyond.fill_diagonal_(-1.0)  # a partner is not above itself
            count.add(beyond, columns.start)
        found.append(count.ranks())
    return torch.cat(found)


class _Count:
    """Count for some queries the keys above their partners, and those that tie with them."""

    def __init__(self, block: Queries, keys: Keys):
        self._block, self._keys = block, keys
        self._above, self._tied = torch.zeros_like(block.own), torch.zeros_like(block.own)
        self._near: list[Tensor] = []  # pairs [P, 2] of queries and keys that float32 cannot tell apart
        self._waiting = 0

    def add(self, beyond: Tensor, start: int) -> None:
        """Count a block [b, n] of keys from `start` on: 1 is above the partner, -1 below, between is near."""
        width = beyond.shape[1]
        sure = torch.linalg.vector_norm(beyond, dim=1).square() > width - 0.01
        if not bool(sure.all()):
            rows = (~sure).nonzero()[:, 0]
            which, columns = (beyond[rows].abs() < 1).nonzero().T
            rows = rows[which]
            beyond[rows, columns] = -1.0
            self._near.append(torch.stack([rows, columns + start], dim=1))
            self._waiting += len(rows)
            if self._waiting > PAIRS:
                self._decide()
        self._above += ((beyond.sum(1) + width) / 2).round()

    def ranks(self) -> Tensor:
        """Rank the partners, [b]."""
        self._decide()
        return (1.0 + self._above + 0.5 * self._tied).masked_fill(self._block.own.isnan(), torch.nan)

    def _decide(self) -> None:
        """Compare the pairs that are near in float64."""
        if not self._near:
            return
        pairs, self._near, self._waiting = torch.cat(self._near), [], 0
        numbers, query = pairs[:, 0].unique(return_inverse=True)
        others, key = pairs[:, 1].unique(return_inverse=True)
        if len(numbers) * len(others) < 8 * len(pairs):  # nearly all of them: as one product
            c, mean, block = unit(self._keys.rows[others]), self._keys.mean, self._block
            apart = (block.unit[numbers] @ (c - mean).T - block.own[numbers, None])[query, key]
            self._add_near(pairs[:, 0], apart, (block.partners[numbers] @ c.T)[query, key])
            return
        for some in pairs.split(PAIRS):
            rows, c = some[:, 0], unit(self._keys.rows[some[:, 1]])
            apart = torch.linalg.vecdot(self._block.unit[rows], c - self._keys.mean) - self._block.own[rows]
            self._add_near(rows, apart, torch.linalg.vecdot(self._block.partners[rows], c))

    def _add_near(self, rows: Tensor, apart: Tensor, likeness: Tensor) -> None:
        """Count pairs by how far they are above the partner, and by their keys' cosines to it; all [P]."""
        ties = apart.abs() <= 8 * EPS64
        if self._keys.rows.dtype != torch.float64:  # equal keys have been rounded, perhaps at several lengths
            ties |= likeness >= 1 - 8 * EPS**2
        self._tied.index_add_(0, rows, ties.double())
        self._above.index_add_(0, rows, ((apart > 0) & ~ties).double())


@as_shipped()
def nearest(x: Tensor, k: int, block_elements: int = DEVICE_BLOCK) -> Tensor:
    """Find the k rows most similar by cosine to each row of x, itself left out.

    Args:
        x: [N, d].
        k: below N.
        block_elements: cosines held at once; changes no neighbour.

    Returns:
        Row numbers [N, k].
    """
    keys, side = Keys.of(x, x), max(1, block_elements // len(x))
    found = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
    numbers, unsure = torch.arange(len(x), device=x.device), []
    held = keys.columns.new_full((min(side, len(x)), -(-len(x) // CHUNK) * CHUNK), -torch.inf)
    for rows in _parts(len(x), side):
        moved, itself = unit(x[rows]).sub_(keys.of_queries), numbers[rows, None]
        left, cosines = torch.ones(len(itself), x.shape[1] + 1, device=x.device), held[: len(itself)]
        left[:, :-1] = moved
        torch.mm(left, keys.columns[:, :-1].T, out=cosines[:, : len(x)])
        if keys.lost:
            cosines.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
        values, places = _largest(cosines.scatter_(1, itself, -torch.inf), k + 1)
        found[rows] = places[:, :k]
        # the k-th and the next could change places
        unsure.append(itself[~(values[:, k - 1] - values[:, k] > 2 * keys.rounding(moved)), 0])
    for some in torch.cat(unsure).split(side):
        q = unit(x[some])
        exact = torch.cat([q @ (unit(x[rows]) - keys.mean).T for rows in _parts(len(x), UNIT_ROWS)], dim=1)
        exact = exact.nan_to_num(-torch.inf).scatter_(1, some[:, None], -torch.inf)
        found[some] = exact.topk(k, dim=1).indices
    return found


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k largest of each row and where they are; scores [b, n], n a multiple of `CHUNK`.

    They are in the k chunks with the largest maxima, which takes a sixth of the time of `topk` on all.
    """
    chunks = scores.view(len(scores), -1, CHUNK)
    best = chunks.amax(2).topk(min(k, chunks.shape[1]), dim=1).indices
    values, places = chunks.gather(1, best[:, :, None].expand(-1, -1, CHUNK)).flatten(1).topk(k, dim=1)
    return values, best.gather(1, places // CHUNK) * CHUNK + places % CHUNK


def unit(x: Tensor) -> Tensor:
    """Bring rows [n, k] to length one, in float64; rows of zeros stay, and what is not finite becomes NaN."""
    x = x.to(torch.float64, copy=True)
    return x.div_(x.norm(dim=1, keepdim=True).clamp_min_(torch.finfo(torch.float64).tiny))


def _mean_direction(x: Tensor) -> Tensor:
    """Average some rows of x [N, k] brought to length one, as any vector near the mean will do; [k]."""
    directions = unit(x[:: -(-len(x) // UNIT_ROWS)])
    return directions[~directions.isnan().any(1)].mean(0).nan_to_num()


def _parts(count: int, size: int) -> Iterator[slice]:
    """Cut `count` rows into slices of `size` at most."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
