"""Similarities pair by pair, and what each of them does not see of a transformed space."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.alignment.similarity import SIMILARITIES, get_similarity, similarity
from relrep_exp.alignment.whitening import Whitening

from . import literal

N, M, D = 7, 5, 6
X, ANCHORS, METRIC = literal.embeddings(0, N + M + 50, D).split([N, M, 50])


def pairwise(formula):
    return lambda xs, anchors, metric: np.array([[formula(x, a) for a in anchors] for x in xs])


def angle_of_directions(x, a):
    u, v = x / np.sqrt(x @ x), a / np.sqrt(a @ a)
    return 2 * np.arctan2(np.sqrt(sum((u - v) ** 2)), np.sqrt(sum((u + v) ** 2))) / np.pi


def cosine(x, a):
    return sum(x * a) / np.sqrt(sum(x * x)) / np.sqrt(sum(a * a))


def product_of_invariances(xs, anchors, metric):
    """Cosine and negative distances, each over its anchors to mean 0 and deviation 1, added."""
    x, a = xs[:, None], anchors[None]
    parts = [
        (x * a).sum(2) / np.linalg.norm(x, axis=2) / np.linalg.norm(a, axis=2),
        *(-np.linalg.norm(x - a, ord=order, axis=2) for order in (2, 1, np.inf)),
    ]
    return sum((z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True) for z in parts)


FORMULAS = {  # of x [N, d], anchors [m, d] and the rows of the statistics [n, d]
    "inner": pairwise(lambda x, a: sum(x * a)),
    "cosine": pairwise(cosine),
    "centred_cosine": lambda xs, anchors, metric: (
        1 - cdist(xs - metric.mean(0), anchors - metric.mean(0), "cosine")
    ),
    "angular": pairwise(angle_of_directions),
    "euclidean": pairwise(lambda x, a: sum((x - a) ** 2) ** 0.5),
    "l1": pairwise(lambda x, a: sum(abs(x - a))),
    "product": product_of_invariances,
    "change_of_basis": lambda xs, anchors, metric: np.linalg.lstsq(anchors.T, xs.T, rcond=None)[0].T,
    "wip": lambda xs, anchors, metric: literal.wip(xs, anchors, metric, 0.15, 5e-8),
}


@pytest.mark.parametrize("name", sorted({*FORMULAS, *SIMILARITIES}))
def test_vectorised_is_pair_by_pair(name):
    got = get_similarity(name)(X, ANCHORS, Whitening.fit(METRIC))
    assert got.shape == (N, M) and got.dtype == torch.float64
    expected = FORMULAS[name](X.numpy(), ANCHORS.numpy(), METRIC.numpy())
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shrinkage, eps", [(0.0, 0.0), (0.15, 5e-8), (0.6, 0.01)])
def test_wip_is_the_quadratic_form_of_eq_4(shrinkage, eps):
    got = get_similarity("wip")(X, ANCHORS, Whitening.fit(METRIC, shrinkage, eps))
    expected = literal.wip(X.numpy(), ANCHORS.numpy(), METRIC.numpy(), shrinkage, eps)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


def wip(x, anchors, metric, shrinkage, eps=0.0):
    return get_similarity("wip")(x, anchors, Whitening.fit(metric, shrinkage, eps))


@pytest.mark.parametrize("seed", range(3))
def test_wip_without_shrinkage_is_invariant_to_any_invertible_affine_map(seed):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(D, D, generator=g, dtype=torch.float64)
    c = 10 * torch.randn(D, generator=g, dtype=torch.float64)
    moved = wip(X @ a.T + c, ANCHORS @ a.T + c, METRIC @ a.T + c, 0.0)
    expected = wip(X, ANCHORS, METRIC, 0.0)
    assert float((moved - expected).abs().max() / expected.abs().max()) < 1e-8


def isotropic(n: int, d: int = D) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def drift(shrinkage: float) -> float:
    """How far WIP moves, relative to its size, when the axes of an isotropic space are stretched 1/2..2."""
    x = isotropic(400)
    a = torch.diag(torch.logspace(-1, 1, D, base=2, dtype=torch.float64))
    before, after = wip(x, x[:M], x, shrinkage), wip(x @ a, x[:M] @ a, x @ a, shrinkage)
    return float((after - before).norm() / before.norm())


def test_shrinkage_breaks_affine_invariance_by_a_measured_amount():
    assert drift(0.0) < 1e-10
    assert 0.1 < drift(0.15) < 0.3
    assert drift(0.01) < drift(0.15) < drift(0.5)


def test_eps_alone_breaks_invariance_to_uniform_scale():
    shifted = wip(0.01 * X, 0.01 * ANCHORS, 0.01 * METRIC, 0.0, eps=0.1)
    assert not torch.allclose(shifted, wip(X, ANCHORS, METRIC, 0.0, eps=0.1), rtol=0.1)


def relative(name: str, move, shrinkage: float = 0.15) -> torch.Tensor:
    """RR of a space whose points, support and statistics all went through `move`."""
    ids = torch.arange(20)
    g = torch.Generator().manual_seed(5)
    p = torch.softmax(torch.randn(8, 20, generator=g, dtype=torch.float64), 1)
    space = RelativeSpace(AnchorSet(ids, p), name, shrinkage=shrinkage, standardise="none", eps=0.0)
    return space.fit({"a": move(METRIC)}).transform(move(X), "a")


ROTATION = literal.rotation(4, D)
MOVES = {
    "rotation": lambda x: x @ ROTATION.T,
    "scale": lambda x: 2.5 * x,
    "shift": lambda x: x + torch.linspace(1, 9, D, dtype=torch.float64),
    "stretch": lambda x: x * torch.linspace(0.2, 4, D, dtype=torch.float64),
}
INVARIANT = {
    "cosine": {"rotation", "scale"},
    "centred_cosine": {"rotation", "scale", "shift"},
    "angular": {"rotation", "scale"},
    "euclidean": {"rotation", "shift"},
    "l1": {"shift"},
    "inner": {"rotation"},
    "wip": {"rotation", "scale", "shift"},
    "product": {"scale"},
    "change_of_basis": {"rotation", "scale", "stretch"},  # more anchors than dimensions: any linear map
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", INVARIANT)
def test_relative_representations_see_exactly_what_their_similarity_sees(name, move):
    before, after = relative(name, lambda x: x), relative(name, MOVES[move])
    change = float((after - before).norm() / before.norm())
    if move in INVARIANT[name]:
        assert change < 1e-8
    else:
        assert change > 1e-2


def test_relative_representations_under_wip_survive_a_stretch_only_without_shrinkage():
    for shrinkage, low, high in ((0.0, 0.0, 1e-8), (0.15, 1e-3, 0.9)):
        before, after = (relative("wip", m, shrinkage) for m in (lambda x: x, MOVES["stretch"]))
        assert low <= float((after - before).norm() / before.norm()) < high


@pytest.mark.parametrize("m", [D, D + 1, 3 * D])
def test_change_of_basis_reconstructs_x_from_enough_anchors(m):
    anchors = literal.embeddings(6, m, D)
    coordinates = get_similarity("change_of_basis")(X, anchors, None)
    torch.testing.assert_close(coordinates @ anchors, X, rtol=1e-8, atol=1e-8)


def test_change_of_basis_with_few_anchors_is_the_projection_onto_their_span():
    anchors = literal.embeddings(6, D - 2, D)
    coordinates = get_similarity("change_of_basis")(X, anchors, None)
    residual = X - coordinates @ anchors
    assert float(residual.norm()) > 1e-3
    np.testing.assert_allclose(residual @ anchors.T, np.zeros((N, D - 2)), atol=1e-9)


def test_angular_is_finite_and_has_a_gradient_at_the_anchor_itself():
    anchors = torch.eye(D)[:M]  # cosines of exactly 1
    x = (2 * anchors).requires_grad_()
    angles = get_similarity("angular")(x, torch.cat([anchors, -anchors]), None)
    angles.sum().backward()
    assert bool(torch.isfinite(x.grad).all())
    np.testing.assert_allclose(angles.detach()[:, :M].diagonal(), np.zeros(M), atol=1e-3)
    np.testing.assert_allclose(angles.detach()[:, M:].diagonal(), np.ones(M), atol=1e-3)


def test_wip_without_statistics_is_refused():
    with pytest.raises(ValueError, match="needs the statistics"):
        get_similarity("wip")(X, ANCHORS, None)


def test_a_similarity_of_ones_own_reaches_the_relative_space(monkeypatch):
    monkeypatch.setattr("relrep_exp.alignment.similarity.SIMILARITIES", dict(SIMILARITIES))

    @similarity("tanh", prepare="whitened")
    def tanh(x, anchors):
        return torch.tanh(x @ anchors.T)

    torch.testing.assert_close(
        relative("tanh", lambda x: x), torch.tanh(relative("wip", lambda x: x)), rtol=1e-9, atol=1e-9
    )


FAR = 1000.0 + torch.randn(90, 64, generator=torch.Generator().manual_seed(1))  # spreads from the origin


@pytest.mark.parametrize("standardise", ["none", "mean_variance"])
@pytest.mark.parametrize("mixes", [False, True], ids=["samples", "mixtures"])
@pytest.mark.parametrize("name", sorted(SIMILARITIES))
def test_float32_far_from_the_origin_gives_what_float64_does(name, mixes, standardise):
    g = torch.Generator().manual_seed(2)
    p = torch.softmax(3 * torch.randn(12, 60, generator=g), 1) if mixes else torch.eye(60)[:12]
    space = RelativeSpace(AnchorSet(torch.arange(60), p), name, shrinkage=0.15, standardise=standardise)
    got = space.fit({"a": FAR[:, :20]}).transform(FAR[:, :20], "a").numpy()
    x, weights = FAR[:, :20].double().numpy(), p.double().numpy()
    expected = FORMULAS[name](x, weights / weights.sum(1, keepdims=True) @ x[:60], x)
    if standardise != "none":
        expected = (expected - expected.mean(0)) / expected.std(0, ddof=1)
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name, formula",
    [
        ("euclidean", lambda x, a: np.sqrt(np.sum((x - a) ** 2))),
        ("l1", lambda x, a: np.sum(np.abs(x - a))),
        ("angular", angle_of_directions),
    ],
)
def test_distances_are_exact_and_the_same_in_any_batch_far_from_the_origin(name, formula):
    anchors = FAR[:40]
    x = torch.cat([FAR, FAR[:5].nextafter(torch.full((), torch.inf))])  # and beside an anchor
    given = AnchorSet.picking(torch.arange(40), torch.arange(40))
    space = RelativeSpace(given, name, standardise="none").join("a", anchors)
    got = space.transform(x, "a")
    exact_x, exact_anchors = (points.numpy().astype(np.longdouble) for points in (x, anchors))
    expected = [[formula(row, a) for a in exact_anchors] for row in exact_x]
    np.testing.assert_allclose(got, np.array(expected, dtype=np.float64), rtol=1e-5)
    assert torch.equal(torch.cat([space.transform(rows, "a") for rows in x.split(1)]), got)
    assert torch.equal(torch.cat([space.transform(rows, "a") for rows in x.split(7)]), got)


@pytest.mark.parametrize("m", [20, 64, 80])
def test_the_change_of_basis_is_solved_exactly_far_from_the_origin(m):
    anchors, x = FAR[:m], FAR[80:]
    space = RelativeSpace(
        AnchorSet.picking(torch.arange(m), torch.arange(m)), "change_of_basis", standardise="none"
    )
    got = space.join("a", anchors).transform(x, "a").numpy()
    expected = np.linalg.lstsq(anchors.double().numpy().T, x.double().numpy().T, rcond=None)[0].T
    assert np.linalg.norm(got - expected) < 1e-5 * np.linalg.norm(expected)
    batches = torch.cat([space.transform(rows, "a") for rows in x.split(1)]).numpy()
    np.testing.assert_allclose(batches, got, rtol=1e-5)
