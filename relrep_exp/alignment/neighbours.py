"""Ranks and nearest rows by cosine as float64 has them, at the speed of float32's products.

Where all rows have a part in common, as those of language models do, cosines crowd: float32 knows six digits
of each, and they differ in the seventh. With c of length one about mu, and q about nu,

    cos(q, c) = q mu + (q - nu) (c - mu) + nu (c - mu),

whose first term is the same for all keys of a query and changes no rank. The others are as small as the
differences between cosines, so that float32 is exact to `ROUNDING`, and what is closer is compared again in
float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.training.numbers import as_shipped

EPS, EPS64 = torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps
ROUNDING = 8.0  # of products of k numbers, in eps sqrt(k): a sum of k roundings seldom passes a tenth of it
NOWHERE = -8.0  # below any cosine: where keys without a direction stand
UNIT_ROWS = 2048  # brought to length one at a time: few enough for float64
CACHE_BLOCK = 2**18  # cosines that are counted while they are in a processor's cache
DEVICE_BLOCK = 2**23  # and where each call takes longer than what it does
CHUNK = 64  # cosines of which the largest is found first


@dataclass(frozen=True)
class Keys:
    """Keys about their mean, as queries about another are compared with them.

    Attributes:
        rows: as they were given, [N, k].
        mean: mu, of the rows of length one, float64, [k].
        of_queries: nu, likewise, [k].
        columns: c - mu, then nu (c - mu), then 1, float32, [N or more, k + 2]; what is more is nowhere.
        reach: largest |c - mu|.
        lift: largest |nu (c - mu)|.
    """

    rows: Tensor
    mean: Tensor
    of_queries: Tensor
    columns: Tensor
    reach: float
    lift: float

    @classmethod
    def of(cls, keys: Tensor, queries: Tensor, multiple: int = 1) -> Keys:
        """Take keys [N, k] about their mean, for queries [N, k] about theirs; so many columns or a multiple."""
        mean, of_queries = _mean_direction(keys), _mean_direction(queries)
        n, k = keys.shape
        columns = torch.zeros(-(-n // multiple) * multiple, k + 2, dtype=torch.float32, device=keys.device)
        columns[:, k], columns[:, k + 1] = NOWHERE, 1.0
        reach = lift = 0.0
        for rows in _parts(n, UNIT_ROWS):
            apart = unit(keys[rows]) - mean
            lifts = apart @ of_queries
            lost = lifts.isnan()
            reach = max(reach, float(apart.norm(dim=1).nan_to_num().max()))
            lift = max(lift, float(lifts.nan_to_num().abs().max()))
            columns[rows, :k] = apart.masked_fill(lost[:, None], 0.0)
            columns[rows, k] = lifts.masked_fill(lost, NOWHERE)
        return cls(keys, mean, of_queries, columns, reach, lift)


@dataclass(frozen=True)
class Queries:
    """Some queries, and what their partners' cosines are compared with.

    Attributes:
        unit: of length one, float64, [b, k].
        partners: keys of length one, float64, [b, k].
        own: of each and its partner, the cosine less q mu, [b].
        band: what float32 cannot tell from the partner's, [b].
        columns: q - nu, then 1, then the negative of `own`, float64, [b, k + 2].
    """

    unit: Tensor
    partners: Tensor
    own: Tensor
    band: Tensor
    columns: Tensor

    @classmethod
    def of(cls, queries: Tensor, partners: Tensor, keys: Keys) -> Queries:
        """Prepare queries [b, k] whose partners [b, k] are among the keys."""
        q, c = unit(queries), unit(partners)
        moved, apart = q - keys.of_queries, c - keys.mean
        own = (q * apart).sum(1)
        terms = ROUNDING * q.shape[1] ** 0.5 * moved.norm(dim=1) * keys.reach + 4 * (keys.lift + own.abs())
        # the last but one: keys that are one but for the rounding of float32 must come to be compared
        band = EPS * (terms + 4 * (q - c).norm(dim=1)) + 64 * EPS64
        columns = torch.cat([moved, torch.ones_like(own)[:, None], -own[:, None]], dim=1)
        return cls(q, c, own, band, columns)


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
        left = (block.columns / block.band[:, None]).float()
        above = torch.zeros(len(left), dtype=torch.float64, device=left.device)
        tied = torch.zeros_like(above)
        for columns in _parts(len(keys), side):
            right = against.columns[columns]
            # cosines less the partner's, in bands: 1 is above it, -1 below, and between float32 cannot tell
            beyond = held[: len(left) * len(right)].view(len(left), len(right))
            torch.mm(left, right.T, out=beyond).clamp_(-1.0, 1.0)
            if columns == rows:
                beyond.fill_diagonal_(-1.0)  # a partner is not above itself
            sure = torch.linalg.vector_norm(beyond, dim=1).square() > len(right) - 0.01
            if not bool(sure.all()):
                _decide(beyond, (~sure).nonzero()[:, 0], block, against, columns, above, tied)
            above += ((beyond.sum(1) + len(right)) / 2).round()
        found.append((1.0 + above + 0.5 * tied).masked_fill(block.own.isnan(), torch.nan))
    return torch.cat(found)


def _decide(
    beyond: Tensor,
    unsure: Tensor,
    block: Queries,
    keys: Keys,
    columns: slice,
    above: Tensor,
    tied: Tensor,
) -> None:
    """Compare again in float64 what lies between -1 and 1 in the rows `unsure`; count it, and make it -1."""
    some, others = (beyond[unsure].abs() < 1).nonzero().T
    rows = unsure[some]
    beyond[rows, others] = -1.0
    numbers, query = rows.unique(return_inverse=True)
    keys_at, key = others.unique(return_inverse=True)
    c = unit(keys.rows[columns][keys_at])
    apart = block.unit[numbers] @ (c - keys.mean).T - block.own[numbers, None]
    ties = apart.abs() <= 8 * EPS64
    if keys.rows.dtype != torch.float64:  # equal keys have been rounded, perhaps at several lengths
        ties |= block.partners[numbers] @ c.T >= 1 - 8 * EPS**2
    equal = ties[query, key]
    tied.index_add_(0, rows, equal.double())
    above.index_add_(0, rows, ((apart[query, key] > 0) & ~equal).double())


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
    keys, side = Keys.of(x, x, multiple=CHUNK), max(1, block_elements // len(x))
    found = torch.empty(len(x), k, dtype=torch.int64, device=x.device)
    numbers, unsure = torch.arange(len(x), device=x.device), []
    for rows in _parts(len(x), side):
        block, itself = Queries.of(x[rows], x[rows], keys), numbers[rows, None]
        cosines = block.columns[:, :-1].float() @ keys.columns[:, :-1].T
        values, places = _largest(cosines.scatter_(1, itself, NOWHERE), k + 1)
        found[rows] = places[:, :k]
        # the k-th and the next could change places
        unsure.append(itself[~(values[:, k - 1] - values[:, k] > 2 * block.band), 0])
    for some in torch.cat(unsure).split(side):
        q = unit(x[some])
        exact = torch.cat([q @ (unit(x[rows]) - keys.mean).T for rows in _parts(len(x), UNIT_ROWS)], dim=1)
        found[some] = exact.nan_to_num(NOWHERE).scatter_(1, some[:, None], NOWHERE).topk(k, dim=1).indices
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
    x = x.double()
    return x / x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)


def _mean_direction(x: Tensor) -> Tensor:
    """Average the rows of x [N, k] brought to length one, those left out that have no direction; [k]."""
    total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for rows in _parts(len(x), UNIT_ROWS):
        directions = unit(x[rows])
        total += directions[~directions.isnan().any(1)].sum(0)
    return total / max(1, len(x))


def _parts(count: int, size: int) -> Iterator[slice]:
    """Cut `count` rows into slices of `size` at most."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
