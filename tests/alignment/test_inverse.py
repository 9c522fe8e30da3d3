"""Inverse relative projection against a transcription in numpy; reconstruction; scale invariance."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment.inverse import Pruning, inverse_relative, reconstruction
from relrep_exp.alignment.metrics import rescaling
from relrep_exp.alignment.parallel import AnchorsError
from relrep_exp.alignment.translation import translation
from tests.alignment.literal import cosine, embeddings, rotation


@pytest.mark.parametrize("scaling", ["none", "center"])
@pytest.mark.parametrize(("n", "d1", "d2"), [(40, 6, 6), (40, 5, 8), (6, 9, 8), (9, 4, 9)])
def test_it_is_cosines_times_the_pseudo_inverse_of_unit_anchors(scaling, n, d1, d2):
    x, y = embeddings(0, n + 10, d1).numpy(), embeddings(1, n, d2).numpy()
    shift_x, shift_y = (z.mean(0) if scaling == "center" else 0 * z[0] for z in (x[:n], y))
    unit = (y - shift_y) / np.linalg.norm(y - shift_y, axis=1)[:, None]
    there = cosine(x[n:] - shift_x, x[:n] - shift_x) @ np.linalg.pinv(unit.T, rcond=1e-11)
    length = np.linalg.norm(y - shift_y, axis=1).mean()
    wanted = there / np.linalg.norm(there, axis=1)[:, None] * length + shift_y
    found = inverse_relative(*(torch.from_numpy(z) for z in (x[:n], y)), scaling)
    assert np.allclose(found(torch.from_numpy(x[n:])).numpy(), wanted)
    values = np.linalg.svd(unit, compute_uv=False)
    values = values[values > values[0] * 1e-11]
    assert found.diagnostics()["rank"] == len(values)
    assert found.diagnostics()["condition"] == pytest.approx(values[0] / values[-1])


def pruned(unit, first, delta):
    """Greedy farthest-point sampling by 1 - |cosine|, in plain numpy."""
    rows = [first]
    while True:
        distances = np.array([min(1 - abs(a @ unit[r]) for r in rows) for a in unit])
        if distances.max() < delta:
            return rows
        rows.append(int(distances.argmax()))


@pytest.mark.parametrize(("delta", "d1", "d2"), [(0.2, 5, 8), (0.5, 8, 5), (0.7, 6, 6)])
def test_pruned_subspaces_are_inverted_each_and_averaged(delta, d1, d2):
    """From every anchor a sampling of its own, so that which are drawn first plays no part."""
    n = 24
    x, y = embeddings(0, n + 10, d1).numpy(), embeddings(1, n, d2).numpy()
    (a, b), shift = (z - z.mean(0) for z in (x[:n], y)), y.mean(0)
    unit_a, unit_b = (z / np.linalg.norm(z, axis=1)[:, None] for z in (a, b))
    queries = cosine(x[n:] - x[:n].mean(0), a)
    chosen = [pruned(unit_b, first, delta) for first in range(n)]
    parts = [queries[:, rows] @ np.linalg.pinv(unit_b[rows].T) for rows in chosen]
    there = np.mean(parts, axis=0)
    length = np.linalg.norm(b, axis=1).mean()
    wanted = there / np.linalg.norm(there, axis=1)[:, None] * length + shift
    tensors = [torch.from_numpy(z) for z in (x[:n], y)]
    found = inverse_relative(*tensors, pruning=Pruning(delta, subspaces=n))
    assert np.allclose(found(torch.from_numpy(x[n:])).numpy(), wanted)
    assert sorted(found.diagnostics()["subspaces"]) == sorted(map(len, chosen))
    assert all(1 < len(rows) < n for rows in chosen)
    one = inverse_relative(*tensors, pruning=Pruning(delta, subspaces=1, seed=3))
    assert any(
        torch.allclose(one.matrix, torch.from_numpy(unit_a[rows].T @ np.linalg.pinv(unit_b[rows].T)))
        for rows in chosen
    )


def test_pruning_keeps_noise_from_being_blown_up_and_may_leave_nothing():
    x, noise = embeddings(4, 100, 12) * torch.logspace(0, -3, 12, dtype=torch.float64), embeddings(5, 100, 12)
    y = x @ rotation(6, 12) + 0.003 * noise
    agreement = [
        float(torch.cosine_similarity(inverse_relative(x[:50], y[:50], pruning=p)(x[50:]), y[50:]).mean())
        for p in (Pruning(), Pruning(0.4, 8))
    ]
    assert agreement[1] > agreement[0] + 0.05
    line = torch.outer(torch.arange(1.0, 9.0), torch.ones(3))
    with pytest.raises(AnchorsError, match="prunes 8 anchors to one"):
        inverse_relative(line, line, "none", pruning=Pruning(0.5))


@pytest.mark.parametrize("scaling", ["none", "center", "l2"])
def test_directions_are_exact_between_rotations_of_each_other_and_norms_are_the_anchors(scaling):
    x = embeddings(2, 40, 6)
    y = 3 * x @ rotation(3, 6)
    found = inverse_relative(x[:20], y[:20], scaling)(x[20:])
    shift = y[:20].mean(0) if scaling == "center" else torch.zeros(6, dtype=y.dtype)
    assert torch.cosine_similarity(found - shift, y[20:] - shift).min() > 1 - 1e-12
    assert torch.allclose((found - shift).norm(dim=1), (y[:20] - shift).norm(dim=1).mean().expand(20))


def test_a_ridge_keeps_noise_from_being_blown_up():
    x, noise = embeddings(4, 100, 12) * torch.logspace(0, -3, 12, dtype=torch.float64), embeddings(5, 100, 12)
    y = x @ rotation(6, 12) + 0.003 * noise
    agreement = [
        float(torch.cosine_similarity(inverse_relative(x[:50], y[:50], "none", r)(x[50:]), y[50:]).mean())
        for r in (0.0, 0.01)
    ]
    assert agreement[1] > agreement[0] + 0.05


def test_it_is_the_translation_the_other_way_transposed():
    x, y = embeddings(7, 30, 5), embeddings(8, 30, 7)
    unit_x, unit_y = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
    back = translation("linear", unit_y, unit_x, "none", ridge=0.1).matrix
    assert torch.allclose(inverse_relative(x, y, "none", 0.1).matrix, back.T)


def test_reconstruction_grows_with_the_anchors_and_is_whole_from_d_on():
    x = embeddings(9, 60, 8)
    told = [reconstruction(x, x[:n]) for n in (2, 4, 7, 8, 20)]
    cosines = [t["cosine"] for t in told]
    assert cosines == sorted(cosines) and [t["rank"] for t in told] == [2, 4, 7, 8, 8]
    assert told[3]["cosine"] == pytest.approx(1) and told[3]["relative_error"] < 1e-6
    assert told[2]["relative_error"] > 0.01
    ridged = reconstruction(x, x[:20], ridge=1.0)
    assert 0.05 < ridged["relative_error"] < 1


def test_rescaling_spares_a_relu_decoder_without_biases_and_not_one_with_cosines():
    g = torch.Generator().manual_seed(0)
    x, w, v = (
        torch.randn(200, 6, generator=g),
        torch.randn(6, 32, generator=g),
        torch.randn(32, 4, generator=g),
    )

    def decoder(activation):
        return lambda z: activation(z @ w) @ v

    def against(activation):
        return rescaling(decoder(activation), x, decoder(activation)(x).argmax(1), (0.1, 1.0, 10.0))

    assert against(torch.relu) == {0.1: 1.0, 1.0: 1.0, 10.0: 1.0}
    assert against(torch.cos)[1.0] == 1.0 and against(torch.cos)[10.0] < 0.6
    assert against(torch.tanh)[0.1] > against(torch.cos)[0.1]
    with pytest.raises(ValueError, match="200 embeddings for 3 classes"):
        rescaling(decoder(torch.relu), x, torch.zeros(3).long(), (1.0,))
