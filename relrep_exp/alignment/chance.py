"""Measure agreement beyond chance: debiased CKA, CKNNA, and a null by permuted rows (arXiv:2602.14486).

Of spaces that have nothing in common, CKA is far from 0 where features are many for the samples, and k of
N - 1 neighbours agree. A permutation of one space's rows keeps both spaces and breaks the pairing alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA = 0.05
LEAST_PERMUTATIONS = round(1 / ALPHA) - 1  # with fewer, no value is above chance at this level
_BLOCK_ELEMENTS = 2**22


def debiased_cka(a: Tensor, b: Tensor) -> float:
    """Measure linear CKA by the unbiased HSIC (Song et al. 2012, Eq. 5) in feature space, O(N p q).

    Over all orders of b's rows its mean is 0, so that it may be negative.

    Args:
        a: [N, p].
        b: [N, q], rows parallel to a's.

    Returns:
        At most 1; NaN where N < 4, or all rows of a space are equal.
    """
    if len(a) < 4:
        return math.nan
    a, b = _centred(a), _centred(b)
    own = _unbiased_hsic(a, a) * _unbiased_hsic(b, b)
    return float(_unbiased_hsic(a, b) / own.sqrt())


def _centred(x: Tensor) -> Tensor:
    x = x.double()
    return x - x.mean(0)


def _unbiased_hsic(a: Tensor, b: Tensor) -> Tensor:
    """Work out N(N - 3) times the unbiased HSIC of centred a [N, p] and b [N, q], without any N x N matrix.

    Eq. 5 leaves out the kernels' diagonals; of centred rows, what is left of row i of a's sums to -|a_i|^2.
    """
    n, lengths_a, lengths_b = len(a), a.square().sum(1), b.square().sum(1)
    whole = (a.T @ b).square().sum()
    diagonal = n / (n - 2) * (lengths_a * lengths_b).sum()
    return whole - diagonal + lengths_a.sum() * lengths_b.sum() / ((n - 1) * (n - 2))


def _neighbours(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k most similar other rows of x [N, d], and their cosines less the row's mean, both [N, k]."""
    x = F.normalize(x.double(), dim=1)
    k, mean, found = min(k, len(x) - 1), x.mean(0), []
    rows = max(1, _BLOCK_ELEMENTS // len(x))
    for first in range(0, len(x), rows):
        part = x[first : first + rows]
        scores = part @ x.T
        own = torch.arange(len(part), device=x.device)
        scores[own, own + first] = -torch.inf
        values, numbers = scores.topk(k, dim=1)
        found.append((numbers, values - (part @ mean)[:, None]))
    numbers, values = zip(*found, strict=True)
    return torch.cat(numbers), torch.cat(values)


def beyond_chance(
    a: Tensor, b: Tensor, k: int, permutations: int, generator: torch.Generator
) -> dict[str, float]:
    """Measure CKNNA, and how far CKA, the overlap of neighbours and CKNNA are above those of permuted rows.

    CKNNA is the alignment of cosine kernels, less their rows' means, over mutual k nearest neighbours alone
    (arXiv:2405.07987, Appendix A), 1 for equal spaces.

    Neighbours are found once, O(N^2 (p + q)); each permutation costs O(N p q + N k log N).

    Args:
        a: [N, p].
        b: [N, q], rows parallel to a's.
        k: neighbours, at most N - 1 are used.
        permutations: how often rows are permuted, `LEAST_PERMUTATIONS` or more.
        generator: of the CPU.

    Returns:
        `cknna`; and of each of the three, as NAME_null, its mean over permutations, and as NAME_calibrated
        its part above chance, as of `calibrated`.

    Raises:
        ValueError: too few permutations, or fewer than two rows.
    """
    if permutations < LEAST_PERMUTATIONS or len(a) < 2:
        raise ValueError(f"{permutations} permutations of {len(a)} rows tell nothing at alpha = {ALPHA}")
    n, x, y = len(a), _centred(a), _centred(b)
    (near_a, scores_a), (near_b, scores_b) = _neighbours(a, k), _neighbours(b, k)
    cka_norm, cknna_norm = (x.T @ x).norm() * (y.T @ y).norm(), scores_a.norm() * scores_b.norm()
    rows = torch.arange(n, device=near_a.device)
    known, places = (
        (rows[:, None] * n + near_b).flatten().sort()
    )  # each neighbour of b as one number, i N + j
    scores_b = scores_b.flatten()[places]
    found: dict[str, list[float]] = {"cka": [], "overlap": [], "cknna": []}
    for number in range(1 + permutations):  # the rows as they are, then permuted
        order = torch.randperm(n, generator=generator).to(rows) if number else rows
        wanted = (order[:, None] * n + order[near_a]).flatten()  # the neighbours of a, by their numbers in b
        at = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
        common = known[at] == wanted
        both = torch.dot(scores_a.flatten(), torch.where(common, scores_b[at], 0.0))
        found["cka"].append(float((x.T @ y[order]).square().sum() / cka_norm))
        found["overlap"].append(float(common.double().mean()))
        found["cknna"].append(float(both / cknna_norm))
    told = {"cknna": found["cknna"][0]}
    for name, (observed, *null) in found.items():
        told[f"{name}_null"] = sum(null) / len(null)
        told[f"{name}_calibrated"] = calibrated(observed, null)
    return told


def calibrated(observed: float, null: list[float]) -> float:
    """Measure how far a similarity is on the way from chance to 1 (arXiv:2602.14486, Algorithm 1).

    That is (s - tau) / (1 - tau), or 0 where s is not above tau, the order statistic at 1 - `ALPHA` of the
    observed value and the permuted ones together: by chance it is above 0 in at most `ALPHA` of all cases.
    """
    if not all(map(math.isfinite, [observed, *null])):
        return math.nan
    ordered = sorted([observed, *null])
    beyond = int(ALPHA * len(ordered) + 1e-9)  # how many of them may be above tau
    threshold = ordered[len(ordered) - beyond - 1]
    return max(0.0, (observed - threshold) / (1.0 - threshold)) if threshold < 1 else 0.0
