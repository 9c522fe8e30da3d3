"""Agreement beyond chance: literal formulas on N x N matrices, and all orders of a few rows."""

from itertools import permutations

import numpy as np
import pytest
import torch

from relrep_exp.alignment import chance, metrics
from relrep_exp.config.schema.run import LEAST_PERMUTATIONS

from . import literal


def spaces(n=60, p=4, q=7, noise=0.5):
    """Two spaces that have something in common."""
    a = literal.embeddings(0, n, p)
    return a, a @ literal.embeddings(1, p, q) + noise * literal.embeddings(2, n, q)


def literal_hsic(k, l):  # noqa: E741
    """Unbiased HSIC of two kernels [N, N], Song et al. 2012, Equation 5."""
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    total = np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_debiased_cka_is_the_ratio_of_unbiased_hsics(shift):
    a, b = spaces()
    k, l = (x.numpy() @ x.numpy().T for x in (a, b))  # noqa: E741
    expected = literal_hsic(k, l) / np.sqrt(literal_hsic(k, k) * literal_hsic(l, l))
    assert chance.debiased_cka(a + shift, 3 * b - shift) == pytest.approx(expected, rel=1e-9)
    assert chance.debiased_cka(a, a @ literal.rotation(0, 4)) == pytest.approx(1.0, rel=1e-12)
    assert np.isnan(chance.debiased_cka(a[:3], b[:3]))


def test_over_all_orders_of_rows_debiased_cka_is_0_on_average_and_cka_is_not():
    a, b = spaces(n=6)
    orders = [torch.tensor(order) for order in permutations(range(6))]
    assert np.mean([chance.debiased_cka(a, b[order]) for order in orders]) == pytest.approx(0, abs=1e-12)
    h = np.eye(6) - 1 / 6
    k, l = (h @ x.numpy() @ x.numpy().T @ h for x in (a, b))  # noqa: E741
    expected = np.trace(k) * np.trace(l) / (5 * np.linalg.norm(k) * np.linalg.norm(l))
    assert np.mean([metrics.linear_cka(a, b[order]) for order in orders]) == pytest.approx(expected, rel=1e-9)
    assert expected > 0.25


def literal_cknna(a, b, k):
    """arXiv:2405.07987, Appendix A, on the matrices of all cosines."""

    def align(one, other):
        centred = [x - x.mean(1, keepdims=True) for x in (one, other)]
        near = [
            [set(sorted(set(range(len(x))) - {i}, key=lambda j: -x[i, j])[:k]) for i in range(len(x))]
            for x in (one, other)
        ]
        both = [(i, j) for i in range(len(one)) for j in near[0][i] & near[1][i]]
        return sum(centred[0][pair] * centred[1][pair] for pair in both)

    one, other = (literal.cosine(x.numpy(), x.numpy()) for x in (a, b))
    return align(one, other) / np.sqrt(align(one, one) * align(other, other))


@pytest.mark.parametrize("k", [1, 5, 59])
def test_cknna_is_the_alignment_of_mutual_neighbours(k, monkeypatch):
    a, b = spaces()
    monkeypatch.setattr(chance, "_BLOCK_ELEMENTS", 60 * 7)
    for other, expected in ((b, literal_cknna(a, b, k)), (2 * a, 1.0)):
        found = chance.beyond_chance(a, other, k, 19, torch.Generator())
        assert found["cknna"] == pytest.approx(expected, rel=1e-9)


def test_the_null_is_of_the_same_measures_on_permuted_rows():
    a, b = spaces(n=20)
    found = chance.beyond_chance(a, b, 5, 40, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(20, generator=generator) for _ in range(40)]
    measures = {
        "cka": metrics.linear_cka,
        "overlap": lambda x, y: metrics.neighbourhood_overlap(x, y, 5),
        "cknna": lambda x, y: literal_cknna(x, y, 5),
    }
    for name, measure in measures.items():
        null = [measure(a, b[order]) for order in orders]
        assert found[f"{name}_null"] == pytest.approx(np.mean(null), rel=1e-9)
        observed, tau = measure(a, b), np.sort([*null, measure(a, b)])[int(np.ceil(0.95 * 41)) - 1]
        assert found[f"{name}_calibrated"] == pytest.approx(max(0, (observed - tau) / (1 - tau)), rel=1e-9)
    assert found["cknna"] == pytest.approx(literal_cknna(a, b, 5), rel=1e-9)


def test_independent_spaces_are_above_chance_about_one_time_in_twenty():
    above = 0
    for seed in range(100):
        a, b = literal.embeddings(2 * seed, 30, 20), literal.embeddings(2 * seed + 1, 30, 20)
        found = chance.beyond_chance(a, b, 3, 19, torch.Generator().manual_seed(seed))
        assert found["cka_null"] > 0.1  # what CKA alone would have for agreement
        above += found["cka_calibrated"] > 0
    assert 1 <= above <= 11  # binomial with .05: outside in 1 of 100 cases


def test_too_few_permutations_are_refused():
    assert chance.LEAST_PERMUTATIONS == LEAST_PERMUTATIONS  # of the configuration
    a, b = spaces()
    with pytest.raises(ValueError, match="18 permutations"):
        chance.beyond_chance(a, b, 5, 18, torch.Generator())
