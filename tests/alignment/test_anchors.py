"""Anchor sets: every strategy is a row-stochastic mixture of support samples."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from relrep_exp.alignment import anchors as module
from relrep_exp.alignment.anchors import (
    ANCHORS,
    AnchorSet,
    Space,
    WhitenedSpace,
    anchor_strategy,
    choose_anchors,
    draw_support,
    get_anchor_strategy,
    one_hot,
)
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.whitening import Whitening

from . import literal

N, K = 80, 40
IDS = draw_support(N, K, 0)
PICKERS = ("random", "fps", "kmeans", "collinear")
STRATEGIES = {
    **{name: get_anchor_strategy(name) for name in PICKERS},
    "param": Param(ParamSettings(epochs=2)),
}


def whitened(x: torch.Tensor) -> WhitenedSpace:
    return WhitenedSpace(x, Whitening.fit(x))


SPACES = {
    f"encoder {seed}": whitened(literal.embeddings(seed, N, d).float()) for seed, d in enumerate((4, 6))
}
POINTS = torch.cat([space.whitened[IDS] for space in SPACES.values()], dim=1).double().numpy()


def pick(name: str, m: int = 9, seed: int = 0) -> AnchorSet:
    return STRATEGIES[name](SPACES, IDS, m, seed)


def columns(anchor_set: AnchorSet) -> list[int]:
    return anchor_set.weights.argmax(1).tolist()


@pytest.mark.parametrize("m", [1, 9, K])
@pytest.mark.parametrize("name", STRATEGIES)
def test_p_is_row_stochastic_and_picked_anchors_are_distinct_support_samples(name, m):
    anchor_set = pick(name, m)
    assert anchor_set.weights.shape == (m, K) and torch.equal(anchor_set.ids, IDS)
    assert float(anchor_set.weights.min()) >= 0
    np.testing.assert_allclose(anchor_set.weights.sum(1), np.ones(m), rtol=1e-5)
    if name in ("random", "fps"):
        assert set(anchor_set.weights.unique().tolist()) == {0.0, 1.0}
        assert len(set(columns(anchor_set))) == m
        for space in SPACES.values():
            support = space.x[IDS]
            assert torch.equal(anchor_set.mix(support), support[columns(anchor_set)])


def test_fps_stays_distinct_among_equal_support_samples():
    flat = torch.ones(6, 3)
    same = {"a": WhitenedSpace(flat, Whitening(torch.zeros(3), torch.eye(3), 1.0, 3, 6))}
    for seed in range(6):
        assert len(set(columns(get_anchor_strategy("fps")(same, torch.arange(6), 4, seed)))) == 4


def test_kmeans_rows_average_disjoint_clusters_that_cover_the_support():
    anchor_set = pick("kmeans")
    member = anchor_set.weights > 0
    assert torch.equal(member.sum(0), torch.ones(K, dtype=torch.int64))
    sizes = member.sum(1, keepdim=True)
    assert int(sizes.min()) >= 1
    torch.testing.assert_close(anchor_set.weights, member / sizes)
    centres = anchor_set.weights.double().numpy() @ POINTS
    nearest = ((POINTS[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    assert np.mean(nearest == member.int().argmax(0).numpy()) > 0.95


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_kmeans_with_fewer_distinct_points_than_anchors_still_gives_stochastic_rows():
    few = {"a": whitened(torch.tensor([[0.0, 0.0], [5.0, 1.0], [0.0, 7.0]]).repeat(4, 1))}
    anchor_set = get_anchor_strategy("kmeans")(few, torch.arange(12), 5, 0)
    np.testing.assert_allclose(anchor_set.weights.sum(1), np.ones(5), rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_fps_is_the_literal_greedy_algorithm_and_counts_no_encoder_by_its_scale(seed):
    chosen = columns(pick("fps", 15, seed))
    greedy = chosen[:1]
    while len(greedy) < 15:
        distances = [min(((p - POINTS[c]) ** 2).sum() for c in greedy) for p in POINTS]
        greedy.append(int(np.argmax(distances)))
    assert chosen == greedy
    scaled = SPACES | {"encoder 0": whitened(1000 * SPACES["encoder 0"].x)}
    assert columns(get_anchor_strategy("fps")(scaled, IDS, 15, seed)) == chosen


@pytest.mark.parametrize("name", STRATEGIES)
def test_anchors_lie_in_the_convex_hull_of_the_support_in_every_space(name):
    """Solved for the convex combination again, without looking at P."""
    anchor_set = pick(name, 4)
    for space in SPACES.values():
        support = space.x[IDS].double()
        system = np.vstack([support.T.numpy(), np.ones(K)])
        for anchor in anchor_set.mix(support).numpy():
            assert linprog(np.zeros(K), A_eq=system, b_eq=[*anchor, 1.0]).status == 0
        outside = support[0] + 10 * (support[0] - support.mean(0))
        assert linprog(np.zeros(K), A_eq=system, b_eq=[*outside.tolist(), 1.0]).status == 2


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_seed_alone_decides(name):
    torch.manual_seed(1)
    np.random.seed(1)
    first = pick(name)
    torch.manual_seed(2)
    np.random.seed(2)
    assert torch.equal(pick(name).weights, first.weights)
    assert not torch.equal(pick(name, seed=1).weights, first.weights)


@pytest.mark.parametrize("name", PICKERS)
def test_more_anchors_than_samples_cannot_be_picked(name):
    with pytest.raises(ValueError, match=f"{K + 1} anchors cannot be picked from {K} support samples"):
        pick(name, K + 1)


@pytest.mark.parametrize("n, size", [(50, 20), (50, 50), (50, 500), (1, 1)])
def test_the_support_is_sorted_unique_and_in_range(n, size):
    ids = draw_support(n, size, 3)
    assert ids.dtype == torch.int64 and len(ids) == min(n, size)
    assert ids.tolist() == sorted(set(ids.tolist())) and set(ids.tolist()) <= set(range(n))


def test_the_support_is_drawn_by_its_seed_over_the_whole_range():
    assert torch.equal(draw_support(1000, 50, 0), draw_support(1000, 50, 0))
    assert not torch.equal(draw_support(1000, 50, 0), draw_support(1000, 50, 1))
    counts = torch.zeros(20)
    for seed in range(400):
        counts[draw_support(20, 5, seed)] += 1
    assert float((counts - 100).abs().max()) < 40  # deviation 9


@pytest.mark.parametrize(
    "weights, message",
    [
        ([[0.5, 0.6], [0.5, 0.5]], "row-stochastic"),
        ([[1.5, -0.5], [0.5, 0.5]], "row-stochastic"),
        ([[float("nan"), 0.5], [0.5, 0.5]], "P: .*NaN"),
        ([0.5, 0.5], "P has shape"),
        ([[0.2, 0.3, 0.5]], "P is"),
    ],
)
def test_what_is_not_a_mixture_of_the_ids_is_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        AnchorSet(torch.arange(2), torch.tensor(weights))


def test_mix_takes_the_dtype_of_the_embeddings_and_as_many_as_p_mixes():
    support = SPACES["encoder 0"].x[IDS]
    for dtype in (torch.float32, torch.float64):
        assert pick("kmeans").mix(support.to(dtype)).dtype == dtype
    with pytest.raises(ValueError, match="39 support embeddings given, P mixes 40"):
        pick("random").mix(support[1:])


def test_effective_points_count_what_carries_an_anchor():
    weights = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0, 0.5, 0]])
    np.testing.assert_allclose(AnchorSet(torch.arange(4), weights).effective_points(), [1, 4, 2], rtol=1e-6)


def test_picked_anchors_are_those_that_one_hot_rows_give_without_m_times_k_numbers():
    chosen = torch.tensor([3, 0, 3])
    picked, dense = AnchorSet.picking(IDS, chosen), AnchorSet(IDS, one_hot(chosen, K))
    support = SPACES["encoder 0"].x[IDS]
    assert picked.weights[0, :4].tolist() == [0, 0, 0, 1] and torch.equal(picked.weights, dense.weights)
    assert torch.equal(picked.mix(support), one_hot(chosen, K).to(support) @ support)
    assert torch.equal(dense.mix(support), picked.mix(support))
    assert picked.used_points == dense.used_points == 2
    assert torch.equal(picked.effective_points(), dense.effective_points())
    many = 300_000  # P would be 360 GB
    drawn = get_anchor_strategy("random")({}, torch.arange(many), many, 0)
    assert drawn.used_points == len(drawn.mix(torch.zeros(many, 1))) == many


def test_statistics_are_computed_once_and_only_for_who_asks():
    space = Space(literal.embeddings(0, 30, 4))
    assert space.whitening() is space.whitening(0.15, 5e-8)
    assert torch.equal(space.whitening(0.0, 0.0).matrix, Whitening.fit(space.x, 0.0, 0.0).matrix)
    flat = Space(torch.ones(40, 3))  # cannot be whitened
    drawn = choose_anchors(get_anchor_strategy("random"), {"a": flat}, 5, support=30, seed=0)
    assert drawn.weights.shape == (5, 30)
    with pytest.raises(ValueError, match="no covariance"):
        choose_anchors(get_anchor_strategy("fps"), {"a": flat}, 5, support=30, seed=0)


def test_a_strategy_of_ones_own_is_found_by_its_name_and_none_takes_anothers(monkeypatch):
    monkeypatch.setattr(module, "ANCHORS", dict(ANCHORS))

    @anchor_strategy("first")
    def first(spaces, ids, m, seed):
        return AnchorSet(ids, one_hot(torch.arange(m), len(ids)))

    assert columns(get_anchor_strategy("first")(SPACES, IDS, 3, 0)) == [0, 1, 2]
    for taken in ("random", "param_single"):
        with pytest.raises(ValueError, match=f"anchor strategy '{taken}' exists already"):
            anchor_strategy(taken)(first)
