"""Ranks and neighbours where cosines crowd, against float64 and rotations that change nothing."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from relrep_exp.alignment import metrics, neighbours
from relrep_exp.alignment.relative import RelativeSpace

from . import literal


def crowded(
    seed: int, n: int, d: int, mean_cosine: float, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Rows with a common part, whose cosines are so on average."""
    g = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(n, d, generator=g, dtype=torch.float64), dim=1)
    shift = torch.nn.functional.normalize(torch.randn(d, generator=g, dtype=torch.float64), dim=0)
    return (x + (mean_cosine / (1 - mean_cosine)) ** 0.5 * shift).to(dtype)


def rotated(x: torch.Tensor) -> torch.Tensor:
    return (x.double() @ literal.rotation(3, x.shape[1])).to(x.dtype)


def rotated_back(x: torch.Tensor) -> torch.Tensor:
    """As an exact translation between rotations of each other carries rows, rounded twice."""
    return (rotated(x).double() @ literal.rotation(3, x.shape[1]).T).to(x.dtype)


def in_float64(queries: torch.Tensor, keys: torch.Tensor) -> np.ndarray:
    """Cosines of all pairs, [N, N]."""
    q, c = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (queries, keys))
    return (q @ c.T).numpy()


@pytest.mark.parametrize("mean_cosine", [0.0, 0.952, 0.99, 0.995, 0.999, 0.99999, 1 - 1e-8])
def test_exact_rotations_are_found_and_keep_their_neighbours_however_cosines_crowd(mean_cosine):
    x = crowded(0, 700, 24, mean_cosine)
    assert in_float64(x, x).mean() == pytest.approx(mean_cosine, abs=0.01)
    assert metrics.retrieve(x, rotated_back(x)).mrr() == 1.0
    x = crowded(0, 700, 24, mean_cosine, torch.float64)  # float32's rounding, too, moves neighbours
    assert metrics.neighbourhood_overlap(x, rotated(x)) == 1.0


@pytest.mark.parametrize("mean_cosine", [0.952, 0.99, 0.995, 0.999])
def test_cosines_to_anchors_of_crowded_rotations_are_found(mean_cosine):
    x = crowded(0, 1000, 64, mean_cosine)
    space = RelativeSpace("random", "cosine", m=64).fit({"a": x, "b": rotated(x)})
    assert metrics.retrieve(space.transform(x, "a"), space.transform(rotated(x), "b")).mrr() == 1.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mean_cosine", [0.0, 0.99, 0.9999])
def test_ranks_of_unrelated_spaces_are_those_of_float64(mean_cosine, dtype):
    queries, keys = (crowded(seed, 500, 16, mean_cosine, dtype) for seed in (0, 1))
    expected = [rankdata(-row)[i] for i, row in enumerate(in_float64(queries, keys))]
    if dtype != torch.bfloat16:  # of which rows are equal, and their cosines only but for rounding
        np.testing.assert_array_equal(metrics.retrieve(queries, keys).ranks, expected)
    np.testing.assert_allclose(metrics.retrieve(queries, keys).ranks, expected, atol=0.5)


@pytest.mark.parametrize("mean_cosine", [0.0, 0.999])
@pytest.mark.parametrize("block", [7, 300 * 11, 2**22])
def test_neighbours_are_those_of_float64_in_blocks_of_any_size(mean_cosine, block):
    x = crowded(0, 300, 16, mean_cosine)
    cosines = in_float64(x, x)
    np.fill_diagonal(cosines, -np.inf)
    expected = np.sort(np.argsort(-cosines, axis=1)[:, :10], axis=1)
    np.testing.assert_array_equal(neighbours.nearest(x, 10, block).sort(1).values, expected)


@pytest.mark.parametrize("mean_cosine", [0.0, 0.9999])
def test_keys_that_are_one_tie_at_whatever_length_they_were_rounded(mean_cosine):
    queries = crowded(0, 120, 16, mean_cosine)
    lengths = torch.linspace(0.01, 90, 120)[:, None]
    ranks = metrics.retrieve(queries, crowded(1, 1, 16, mean_cosine) * lengths).ranks
    assert set(ranks.tolist()) == {60.5}
    keys = crowded(1, 40, 16, mean_cosine).repeat(3, 1)  # each key thrice: ranks 2, 5, 8, ...
    ranks = metrics.retrieve(queries, keys * lengths).ranks
    assert set((ranks % 3).tolist()) == {2.0}
    first = metrics.retrieve(queries[:40], keys[:40]).ranks
    assert torch.equal(ranks[:40], 3 * first - 1)


def test_rows_without_a_direction_disturb_no_others():
    x = crowded(0, 60, 8, 0.99)
    broken = x.clone()
    broken[5], broken[7, 2], broken[9] = torch.nan, torch.inf, 0.0
    found = metrics.retrieve(x, broken).ranks
    kept = torch.tensor([row not in (5, 7, 9) for row in range(60)])
    assert bool((found[kept] == 1).all()) and bool(found[[5, 7]].isnan().all())
    assert found[9] == 58.0  # a row of zeros is nearer to none, but for two that stand nowhere
