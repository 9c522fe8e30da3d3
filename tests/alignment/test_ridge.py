"""A ridge chosen in closed form against a literal loop of refits in float64 numpy."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment.inverse import inverse_relative
from relrep_exp.alignment.parallel import Parallel
from relrep_exp.alignment.ridge import RIDGES, inverse_errors, linear_errors
from relrep_exp.alignment.translation import translation

from .literal import embeddings, rotation

SHAPES = [(30, 5, 7), (30, 7, 5), (9, 12, 6), (8, 8, 8), (6, 9, 10)]  # n, d1, d2


def views(n, d1, d2, noise=0.5):
    latent = embeddings(0, n, max(d1, d2))
    x, y = (latent @ embeddings(seed, max(d1, d2), d) for seed, d in ((1, d1), (2, d2)))
    return x + noise * embeddings(3, n, d1) + 2, y + noise * embeddings(4, n, d2) - 1


def share(x, ridge):
    """The ridge as what is added to the squared singular values of x."""
    return ridge * (x**2).sum() / min(len(x), int((x != 0).any(0).sum()))


@pytest.mark.parametrize("scaling", ["standard", "center", "l2", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_errors_of_linear_maps_are_those_of_a_loop_of_refits(shape, scaling):
    anchors = Parallel.of(*views(*shape), scaling)
    x, y = (z.numpy() for z in anchors.scaled())
    expected = []
    for ridge in RIDGES:
        total = 0.0
        for i in range(len(x)):
            kept = np.arange(len(x)) != i
            shift_x, shift_y = (
                z[kept].mean(0) if scaling in ("standard", "center") else 0 * z[0] for z in (x, y)
            )
            a, b = x[kept] - shift_x, y[kept] - shift_y
            w = np.linalg.solve(a.T @ a + share(x, ridge) * np.eye(a.shape[1]), a.T @ b)
            total += np.sum((y[i] - shift_y - (x[i] - shift_x) @ w) ** 2)
        expected.append(total)
    np.testing.assert_allclose(linear_errors(anchors, RIDGES).numpy(), expected, rtol=1e-7)
    best = RIDGES[int(np.argmin(expected))]
    chosen = translation("linear", *views(*shape), scaling, ridge="auto")
    assert chosen.diagnostics()["ridge"] == best
    assert torch.equal(chosen.matrix, translation("linear", *views(*shape), scaling, ridge=best).matrix)


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_of_inverse_projection_are_those_of_a_loop_of_refits(shape):
    x, y = (z / z.norm(dim=1, keepdim=True) for z in views(*shape))
    expected = []
    for ridge in RIDGES:
        total = 0.0
        for i in range(len(x)):
            kept = np.arange(len(x)) != i
            a, b = x.numpy()[kept], y.numpy()[kept]
            gram = b @ b.T + share(y.numpy(), ridge) * np.eye(len(b))
            made = (a @ x[i].numpy()) @ np.linalg.solve(gram, b)
            total += 1 - made @ y[i].numpy() / np.linalg.norm(made)
        expected.append(total)
    np.testing.assert_allclose(inverse_errors(x, y, RIDGES).numpy(), expected, rtol=1e-6, atol=1e-9)
    best = RIDGES[int(np.argmin(expected))]
    found = inverse_relative(*views(*shape), "none", ridge="auto")
    assert found.diagnostics()["ridge"] == best


def test_exact_spaces_get_the_smallest_ridge_and_noise_a_large_one():
    x = embeddings(5, 60, 6)
    exact = translation("affine", x, x @ rotation(6, 6) + 3, ridge="auto").diagnostics()["ridge"]
    noise = translation("affine", x, embeddings(7, 60, 6), ridge="auto").diagnostics()["ridge"]
    assert exact == RIDGES[0] and noise >= 1


def test_a_word_that_is_no_ridge_is_refused():
    x = embeddings(5, 20, 6)
    for estimate in (
        lambda r: translation("linear", x, x, ridge=r),
        lambda r: inverse_relative(x, x, "none", r),
    ):
        with pytest.raises(ValueError, match="ridge=best: it must be 0 or more, or 'auto'"):
            estimate("best")
