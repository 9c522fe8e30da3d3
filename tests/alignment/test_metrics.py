"""What is measured, against the definitions written out."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from relrep_exp.alignment import metrics, neighbours

from . import literal


def labels(seed: int, n: int = 200, classes: int = 5) -> torch.Tensor:
    return torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal_weighted_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    total = 0.0
    for c in set(truth.tolist()):
        hits = np.sum((predicted == c) & (truth == c))
        wrong, missed = np.sum((predicted == c) & (truth != c)), np.sum((predicted != c) & (truth == c))
        total += np.sum(truth == c) / len(truth) * 2 * hits / (2 * hits + wrong + missed)
    return total


@pytest.mark.parametrize("case", ["random", "unbalanced", "a class never predicted", "a class never there"])
def test_weighted_f1_and_accuracy_are_per_class_sums(case):
    truth, predicted = labels(0), labels(1)
    predicted[:120] = truth[:120]
    if case == "unbalanced":
        truth[50:] = 0
    if case == "a class never predicted":
        predicted[predicted == 3] = 1
    if case == "a class never there":
        truth[truth == 3] = 1
    expected = literal_weighted_f1(predicted.numpy(), truth.numpy())
    assert metrics.weighted_f1(predicted, truth) == pytest.approx(expected, rel=1e-12)
    hits = sum(int(p) == int(t) for p, t in zip(predicted, truth, strict=True))
    assert metrics.accuracy(predicted, truth) == pytest.approx(hits / 200, rel=1e-12)


def literal_ranks(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Own key's place in a sorted list, ties by their mean place."""
    return np.array([rankdata(-row, method="average")[i] for i, row in enumerate(queries @ keys.T)])


def ties() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows along axes, whose cosines are exactly 0, 1 or -1."""
    axes, signs = labels(3, 40, 4), 2.0 * labels(4, 40, 2) - 1
    rows = torch.nn.functional.one_hot(axes, 4).double() * signs[:, None]
    return rows, rows[torch.randperm(40, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("block", [2**24, 40 * 7, 40, 1])
def test_ranks_are_those_of_a_sort_with_ties_in_blocks_of_any_size(block):
    for queries, keys in (ties(), (normal(0, 40, 4), normal(0, 40, 4) + normal(1, 40, 4))):
        unit = [(x / x.norm(dim=1, keepdim=True)).numpy() for x in (queries, keys)]
        expected = literal_ranks(*unit)
        found = metrics.retrieve(queries, keys, block)
        np.testing.assert_array_equal(found.ranks, expected)
        assert found.mrr() == pytest.approx(np.mean(1 / expected), rel=1e-12)
        for k in (1, 5, 10):
            assert found.recall(k) == pytest.approx(np.mean(expected <= k), abs=1e-12)


def test_retrieval_compares_directions():
    queries, keys = normal(0, 30, 5), normal(1, 30, 5)
    lengths = torch.linspace(0.1, 50, 30, dtype=torch.float64)[:, None]
    expected = metrics.retrieve(queries, keys).ranks
    assert torch.equal(metrics.retrieve(queries * lengths, keys * lengths.flip(0)).ranks, expected)


def test_equal_spaces_are_found_and_collapsed_ones_are_not_rewarded():
    x = normal(0, 50, 6)
    perfect = metrics.retrieve(x, 3 * x)
    assert perfect.mrr() == perfect.recall(1) == 1.0
    collapsed = metrics.retrieve(x, torch.eye(6, dtype=torch.float64)[[0] * 50])
    assert set(collapsed.ranks.tolist()) == {25.5}
    assert collapsed.recall(1) == 0.0


class Largest(TorchDispatchMode):
    """The most numbers that any operation gave."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        given = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.numbers = max([self.numbers, *given])
        return out


@pytest.mark.parametrize("measure", [metrics.retrieve, metrics.neighbourhood_overlap])
def test_the_matrix_of_all_pairs_is_never_held(measure):
    x = normal(0, 600, 4)
    with Largest() as largest:
        measure(x, x + 0.1, block_elements=600 * 5)
    assert largest.numbers <= 600 * 2 * 10  # k = 10 neighbours in both spaces, and 600 x 600 nowhere
    # 32 MiB of float32, where 16,000 x 16,000 are 977
    assert max(neighbours.CACHE_BLOCK, neighbours.DEVICE_BLOCK) <= 2**23


@pytest.mark.parametrize("block", [2**24, 30 * 4, 1])
@pytest.mark.parametrize("k", [1, 5, 29, 100])
def test_neighbourhood_overlap_is_mutual_k_nn(k, block):
    a, b = normal(0, 30, 4), normal(0, 30, 4) @ normal(1, 4, 6) + 0.5 * normal(2, 30, 6)

    def neighbours(x, i):
        scores = literal.cosine(x[i : i + 1].numpy(), x.numpy())[0]
        others = [j for j in np.argsort(-scores) if j != i]
        return set(others[: min(k, 29)])

    shares = [len(neighbours(a, i) & neighbours(b, i)) / min(k, 29) for i in range(30)]
    expected = np.mean(shares)
    assert metrics.neighbourhood_overlap(a, b, k, block) == pytest.approx(expected, rel=1e-12)


def test_neighbourhood_overlap_of_equal_spaces_is_one_and_of_one_row_undefined():
    x = normal(0, 30, 4)
    assert metrics.neighbourhood_overlap(x, 2 * x @ literal.rotation(0, 4)) == 1.0
    assert np.isnan(metrics.neighbourhood_overlap(x[:1], x[:1]))


def test_normalised_mse_is_zero_for_equal_and_two_for_unrelated_spaces():
    a, b = normal(0, 4000, 8), normal(1, 4000, 8)
    assert metrics.normalised_mse(a, a) == 0.0
    assert metrics.normalised_mse(a, b) == pytest.approx(2.0, abs=0.05)
    assert metrics.normalised_mse(7 * a, 7 * b) == pytest.approx(metrics.normalised_mse(a, b), rel=1e-12)
    assert metrics.normalised_mse(a, b) == metrics.normalised_mse(b, a)


def test_normalised_mse_and_std_are_their_definitions():
    a, b = literal.embeddings(0, 20, 3).numpy(), literal.embeddings(1, 20, 3).numpy()
    variance = np.mean([np.var(x[:, j], ddof=1) for x in (a, b) for j in range(3)])
    expected = np.mean((a - b) ** 2) / variance
    assert metrics.normalised_mse(*map(torch.from_numpy, (a, b))) == pytest.approx(expected, rel=1e-12)
    std = np.mean([np.std(a[:, j], ddof=1) for j in range(3)])
    assert metrics.feature_std(torch.from_numpy(a)) == pytest.approx(std, rel=1e-12)


def test_normalised_mse_of_float32_a_thousand_spreads_from_the_origin_is_that_of_float64():
    a, b = (1000 + normal(seed, 300, 16).float() for seed in (0, 1))
    x, y = (z.numpy().astype(np.longdouble) for z in (a, b))
    expected = np.mean((x - y) ** 2) / np.mean([np.var(z, axis=0, ddof=1) for z in (x, y)])
    assert metrics.normalised_mse(a, b) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_effective_rank_of_k_equal_singular_values_is_k(k):
    centred = normal(0, 40, k)
    q = torch.linalg.qr(centred - centred.mean(0)).Q  # orthonormal and still centred
    x = 5 * q @ literal.rotation(1, 6)[:k] + 3.0
    assert metrics.effective_rank(x) == pytest.approx(k, rel=1e-8)


def test_effective_rank_is_the_exponential_of_the_entropy_and_zero_for_constant_rows():
    x = literal.embeddings(2, 30, 5).numpy()
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    shares = values / values.sum()
    expected = np.exp(-sum(p * np.log(p) for p in shares))
    assert metrics.effective_rank(torch.from_numpy(x)) == pytest.approx(expected, rel=1e-10)
    assert metrics.effective_rank(torch.ones(5, 3)) == 0.0


def test_linear_cka_is_the_centred_kernel_alignment():
    a, b = literal.embeddings(0, 25, 4), literal.embeddings(1, 25, 7)
    h = np.eye(25) - np.ones((25, 25)) / 25
    k, l = (h @ (x.numpy() @ x.numpy().T) @ h for x in (a, b))  # noqa: E741
    expected = np.sum(k * l) / np.sqrt(np.sum(k * k) * np.sum(l * l))
    assert metrics.linear_cka(a, b) == pytest.approx(expected, rel=1e-10)


def test_linear_cka_sees_neither_rotation_nor_scale_nor_shift_but_a_stretch():
    a, b = literal.embeddings(0, 40, 5), literal.embeddings(0, 40, 5) + literal.embeddings(1, 40, 5)
    expected = metrics.linear_cka(a, b)
    moved = 6 * b @ literal.rotation(2, 5) + 9
    assert metrics.linear_cka(a, moved) == pytest.approx(expected, rel=1e-10)
    assert metrics.linear_cka(a, 6 * a @ literal.rotation(2, 5) + 9) == pytest.approx(1.0, rel=1e-10)
    stretched = b * torch.logspace(-2, 2, 5, dtype=torch.float64)
    assert abs(metrics.linear_cka(a, stretched) - expected) > 0.01


def test_equal_keys_tie_though_their_products_round_differently():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(41, 6, dtype=torch.float64, generator=generator)
    keys = torch.ones(41, 6, dtype=torch.float64) * torch.randn(6, dtype=torch.float64, generator=generator)
    assert torch.equal(metrics.retrieve(queries, keys).ranks, torch.full((41,), 21.0, dtype=torch.float64))


def test_a_query_that_is_not_a_number_has_no_rank():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    queries = x.clone()
    queries[3] = torch.nan
    found = metrics.retrieve(queries, x)
    assert found.ranks[3].isnan()
    assert torch.isnan(torch.tensor(found.mrr()))
    assert (found.ranks[torch.arange(20) != 3] == 1).all()
