"""Translations against independent transcriptions in float64 numpy and scipy, and by their properties."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg
import torch

from relrep_exp.alignment.parallel import AnchorsError, Parallel
from relrep_exp.alignment.translation import Descent, translation
from tests.alignment.literal import embeddings, rotation

KINDS = ("affine", "linear", "l_ortho", "ortho", "parseval")
SCALINGS = ("standard", "center", "l2", "none")
SHAPES = [(40, 6, 6), (40, 5, 8), (40, 8, 5), (8, 8, 8), (5, 8, 9), (5, 9, 8), (5, 4, 9)]  # n, d1, d2


def pair(n, d1, d2, rows=30):
    """Anchors and other rows of two noisy linear views of one cloud, far from the origin."""
    latent = embeddings(0, n + rows, max(d1, d2))
    g = torch.Generator().manual_seed(1)
    views = [latent @ torch.randn(latent.shape[1], d, generator=g, dtype=torch.float64) for d in (d1, d2)]
    x, y = (v + 0.3 * torch.randn(v.shape, generator=g, dtype=torch.float64) + 2 for v in views)
    return x[:n], y[:n], x[n:]


def scaled(scaling, anchors, x):
    """x as the anchors' statistics scale it, and how to undo it."""
    if scaling == "none":
        return x, lambda z: z
    if scaling == "l2":
        length = np.linalg.norm(anchors, axis=1).mean()
        return x / np.linalg.norm(x, axis=1)[:, None], lambda z: z * length
    mean = anchors.mean(0)
    std = anchors.std(0) if scaling == "standard" else np.ones_like(mean)
    return (x - mean) / std, lambda z: z * std + mean


def isometry(matrix):
    """U V^T over the singular values that are not rounding."""
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    kept = s > s[0] * 1e-11
    return u[:, kept] @ vh[kept]


def frame(anchors):
    """A (A^T A)^-1/2 over the directions that anchors have."""
    values, vectors = np.linalg.eigh(anchors.T @ anchors)
    kept = values > values[-1] * 1e-12
    return anchors @ vectors[:, kept] / np.sqrt(values[kept]) @ vectors[:, kept].T


def transcribed(kind, scaling, x, y, new):
    """The map as the paper has it, step by step."""
    a, _ = scaled(scaling, x, x)
    b, undo = scaled(scaling, y, y)
    z, _ = scaled(scaling, x, new)
    if kind == "affine":
        a, z = np.hstack([a, np.ones((len(a), 1))]), np.hstack([z, np.ones((len(z), 1))])
        return undo(z @ np.linalg.lstsq(a, b, rcond=None)[0])
    if kind == "ortho":
        return undo(z @ isometry(a.T @ b))
    if kind == "parseval":
        return undo(z @ frame(a).T @ frame(b))
    solved = np.linalg.lstsq(a, b, rcond=1e-11)[0]
    return undo(z @ (solved if kind == "linear" else isometry(solved)))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_what_numpy_makes_of_the_paper(kind, scaling):
    for shape in SHAPES[:3] if kind == "affine" else SHAPES:  # a column of ones needs anchors enough
        x, y, new = pair(*shape)
        wanted = transcribed(kind, scaling, x.numpy(), y.numpy(), new.numpy())
        found = translation(kind, x, y, scaling)(new).numpy()
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-7), shape


@pytest.mark.parametrize("shape", [(40, 6, 6), (40, 5, 8), (40, 8, 5)])
def test_ortho_is_scipys_procrustes_of_padded_spaces(shape):
    x, y, new = pair(*shape)
    d = max(shape[1:])
    padded = [np.pad(z.numpy(), ((0, 0), (0, d - z.shape[1]))) for z in (x, y, new)]
    wanted = (padded[2] @ scipy.linalg.orthogonal_procrustes(*padded[:2])[0])[:, : shape[2]]
    assert np.allclose(translation("ortho", x, y, "none")(new).numpy(), wanted)


def test_few_anchors_the_thin_route_is_padded_procrustes_where_that_is_determined():
    x, y, _ = pair(4, 9, 7)
    a, b = x - x.mean(0), y - y.mean(0)
    padded = [np.pad(z.numpy(), ((0, 0), (0, 9 - z.shape[1]))) for z in (a, b)]
    full = scipy.linalg.orthogonal_procrustes(*padded)[0]
    found = translation("ortho", x, y, "center")
    assert found.diagnostics()["route"] == "thin" and found.diagnostics()["rank"] == 3
    assert np.allclose((a @ found.matrix).numpy(), (padded[0] @ full)[:, :7])
    beside = torch.linalg.svd(a).Vh[3:]  # directions in which no anchor lies
    assert (beside @ found.matrix).abs().max() < 1e-10
    assert torch.allclose(found(x.mean(0, keepdim=True) + beside), y.mean(0).expand(6, 7))


@pytest.mark.parametrize(("kind", "scaling"), product(KINDS, SCALINGS[1:]))
def test_a_rotation_is_found_exactly_and_so_is_the_way_back(kind, scaling):
    x = embeddings(2, 30, 6)
    turned = x @ rotation(3, 6)
    found = translation(kind, x[:20], turned[:20], scaling)
    if scaling == "l2":
        unit = turned / turned.norm(dim=1, keepdim=True)
        there = found(x)
        assert torch.allclose(there / there.norm(dim=1, keepdim=True), unit)
    else:
        assert torch.allclose(found(x), turned)
        assert torch.allclose(found.inverse()(turned), x)


def test_frames_of_few_anchors_keep_their_span_and_stretch_nothing():
    x, y, _ = pair(5, 8, 9)
    found = translation("parseval", x, y, "center")
    assert found.diagnostics()["rank"] == 4 == torch.linalg.matrix_rank(found.matrix)
    assert torch.linalg.svdvals(found.matrix)[:4].max() <= 1 + 1e-12
    own, other = (torch.linalg.svd(z - z.mean(0)).Vh[:4] for z in (x, y))
    assert torch.allclose(own.T @ own @ found.matrix @ other.T @ other, found.matrix)


def test_ortho_there_and_back_is_where_one_started_also_into_more_dimensions():
    x, y, new = pair(40, 5, 8)
    found = translation("ortho", x, y)
    assert torch.allclose(found.inverse()(found(new)), new)


def test_ridge_is_that_of_the_normal_equations_by_either_route():
    for n, d1 in ((40, 6), (5, 9)):
        x, y, _ = pair(n, d1, 4)
        a, b = (z - z.mean(0) for z in (x, y))
        added = 0.1 * a.square().sum() / min(n, d1)
        wanted = torch.linalg.solve(a.T @ a + added * torch.eye(d1, dtype=a.dtype), a.T @ b)
        assert torch.allclose(translation("linear", x, y, "center", ridge=0.1).matrix, wanted)


def round_pair():
    """Anchors of a round cloud, which descent is done with in a few hundred steps, and other rows."""
    g = torch.Generator().manual_seed(2)
    x = torch.randn(90, 5, generator=g, dtype=torch.float64) + 1
    y = x @ torch.randn(5, 4, generator=g, dtype=torch.float64) + torch.randn(90, 4, generator=g)
    return x[:60], y[:60], x[60:]


def test_gradient_descent_comes_to_the_closed_form():
    x, y, new = round_pair()
    closed = translation("affine", x, y)(new)
    steps = [translation("affine", x, y, descent=Descent(n, 0.05))(new) for n in (10, 50, 300)]
    far = [float((step - closed).norm() / closed.norm()) for step in steps]
    assert far[0] > far[1] > far[2] and far[2] < 1e-6
    ridged = translation("affine", x, y, ridge=0.2, descent=Descent(300, 0.05))(new)
    assert torch.allclose(ridged, translation("affine", x, y, ridge=0.2)(new), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_are_constant_among_the_anchors_have_no_part(kind):
    x, y, new = pair(40, 6, 5)
    dead_x, dead_y = torch.full((40, 1), 0.1, dtype=x.dtype), torch.full((40, 1), 0.3, dtype=x.dtype)
    found = translation(kind, torch.hstack([x, dead_x]), torch.hstack([y, dead_y]))
    moved = found(torch.hstack([new, torch.randn(len(new), 1, dtype=x.dtype) * 100]))
    assert torch.allclose(moved[:, :5], translation(kind, x, y)(new))
    assert torch.allclose(moved[:, 5], torch.tensor(0.3, dtype=x.dtype))
    assert found.diagnostics()["constant_features"] == {"source": 1, "target": 1}


def test_dependent_features_take_the_solution_of_least_norm():
    x, y, _ = pair(40, 5, 4)
    twice = torch.hstack([x, x[:, :2]])
    found = translation("linear", twice, y, "center")
    assert found.diagnostics() | {"condition": 0} == {
        "kind": "linear", "anchors": 40, "constant_features": {"source": 0, "target": 0},
        "rank": 5, "condition": 0, "route": "svd",
    }  # fmt: skip
    wanted = torch.linalg.pinv(twice - twice.mean(0)) @ (y - y.mean(0))
    assert torch.allclose(found.matrix, wanted)


def test_directions_that_float32_rounding_makes_up_are_no_directions():
    x = embeddings(5, 200, 6)
    x = x - x.mean(1, keepdim=True)  # as LayerNorm leaves it: five directions
    y = x @ rotation(6, 6)
    found = translation("linear", x.float(), y.float(), "center")
    assert found.diagnostics()["rank"] == 5 and found.diagnostics()["condition"] < 100


def test_quick_products_of_many_anchors_are_the_exact_ones_to_float32():
    x, y, _ = pair(20_000, 6, 5)
    quick = Parallel.of(x.float(), y.float() + 100, "standard", exact=False)
    exact = Parallel.of(x.float(), y.float() + 100, "standard")
    assert torch.allclose(quick.xx, exact.xx, atol=1e-5 * 20_000) and torch.allclose(
        quick.xy, exact.xy, atol=0.2
    )
    wanted = [
        (z - z.mean(0)) / z.std(0, correction=0) for z in (x.float().double(), (y.float() + 100).double())
    ]
    assert torch.allclose(exact.xx, wanted[0].T @ wanted[0]) and torch.allclose(
        exact.xy, wanted[0].T @ wanted[1]
    )


def test_float32_comes_out_as_float32_and_close():
    x, y, new = pair(40, 6, 6)
    for kind, scaling in product(("affine", "ortho"), SCALINGS):
        moved = translation(kind, x.float(), y.float(), scaling)(new.float())
        assert moved.dtype == torch.float32
        assert torch.allclose(moved.double(), translation(kind, x, y, scaling)(new), rtol=1e-4, atol=1e-3)


NAN = torch.tensor([[1.0, float("nan")], [0.0, 2.0]])
FINE = torch.tensor([[1.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (FINE[:1], FINE[:1], "at least two anchors"),
        (FINE, FINE[:1], "2 rows in one space, 1 in the other"),
        (NAN, FINE, "first space hold NaN"),
        (FINE, NAN / 0, "second space hold NaN"),
        (FINE, torch.ones(2, 3), "all anchors of the second space are equal"),
        (FINE.long(), FINE, "of floats"),
    ],
)
def test_anchors_that_say_nothing_are_refused(x, y, said):
    with pytest.raises(AnchorsError, match=said):
        translation("ortho", x, y)


@pytest.mark.parametrize("scaling", ["standard", "center"])
def test_anchors_that_differ_by_rounding_alone_are_refused(scaling):
    x, y, _ = (z.float() for z in pair(40, 3, 3))
    level = torch.ones(40, 3)
    level[::2] = torch.nextafter(level[::2], level[::2] + 1)
    for kind in KINDS:
        with pytest.raises(AnchorsError, match="first space are equal but for rounding"):
            translation(kind, level, y, scaling)
        with pytest.raises(AnchorsError, match="second space are equal but for rounding"):
            translation(kind, x, level, scaling)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "rigid"},
        {"scaling": "minmax"},
        {"ridge": -1.0},
        {"kind": "ortho", "ridge": 1.0},
        {"descent": Descent(1, 1.0)},
    ],
)
def test_requests_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"scaling|translation|ridge|descent"):
        translation(**({"kind": "linear", "x": FINE, "y": FINE} | wrong))


@pytest.mark.parametrize("scaling", ["standard", "center"])
@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_float32_are_those_of_float64_a_thousand_spreads_from_the_origin(kind, scaling):
    g = torch.Generator().manual_seed(0)
    x, y = 1000 + torch.randn(400, 64, generator=g), torch.randn(400, 48, generator=g)
    found = translation(kind, x[:300], y[:300], scaling)
    exact = translation(kind, x[:300].double(), y[:300].double(), scaling)(x[300:].double())
    assert (found(x[300:]) - exact).norm() < 1e-5 * exact.norm()
