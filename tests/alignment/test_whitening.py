"""Appendix B against a literal transcription, and what happens where it is not defined."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relrep_exp.alignment import whitening as gathered
from relrep_exp.alignment.whitening import Whitening, moments
from relrep_exp.store.mapped import FileRows

from . import literal


def pinv_root(x: torch.Tensor) -> np.ndarray:
    """Square root of the pseudo-inverse of the covariance."""
    values, vectors = np.linalg.eigh(np.linalg.pinv(np.cov(x.numpy().T), hermitian=True, rcond=1e-12))
    return vectors @ np.diag(np.sqrt(values.clip(0))) @ vectors.T


@pytest.mark.parametrize("shrinkage, eps", [(0.15, 5e-8), (0.0, 0.0), (0.5, 0.0), (0.0, 0.1), (1.0, 0.0)])
def test_mean_and_matrix_are_appendix_b(shrinkage, eps):
    x = literal.embeddings(0, 60, 7)
    fitted = Whitening.fit(x, shrinkage, eps)
    mean, sigma = literal.shrunk(x.numpy(), shrinkage, eps)
    np.testing.assert_allclose(fitted.mean, mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fitted.matrix, literal.inverse_root(sigma), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(fitted.matrix, fitted.matrix.T, rtol=0, atol=1e-13)
    assert (fitted.rank, fitted.count) == (7, 60)
    assert fitted.condition == pytest.approx(np.linalg.cond(sigma), rel=1e-9)
    expected = np.array([literal.inverse_root(sigma) @ (row - mean) for row in x[:4].numpy()])
    np.testing.assert_allclose(fitted(x[:4]), expected, rtol=1e-9, atol=1e-10)
    assert (shrinkage, eps) != (0.15, 5e-8) or torch.equal(Whitening.fit(x).matrix, fitted.matrix)  # Table 5


def test_whitened_training_data_have_identity_covariance():
    x = literal.embeddings(4, 80, 9)
    whitened = Whitening.fit(x, 0.0, 0.0)(x)
    np.testing.assert_allclose(whitened.mean(0), np.zeros(9), atol=1e-10)
    np.testing.assert_allclose(np.cov(whitened.numpy().T), np.eye(9), atol=1e-9)


def rank_deficient() -> torch.Tensor:
    return literal.embeddings(6, 50, 3) @ literal.rotation(7, 8)[:3] + 2.0


@pytest.mark.parametrize(
    "x, rank", [(rank_deficient(), 3), (literal.embeddings(8, 5, 8), 4)], ids=["low rank", "N < d"]
)
def test_without_shrinkage_null_directions_are_mapped_to_zero(x, rank):
    fitted = Whitening.fit(x, 0.0, 0.0)
    assert fitted.rank == rank
    np.testing.assert_allclose(fitted.matrix, pinv_root(x), rtol=1e-6, atol=1e-8)
    kept = np.linalg.svd(x.numpy() - x.numpy().mean(0))[2]
    assert np.abs(fitted.matrix.numpy() @ kept[rank:].T).max() < 1e-7
    assert np.linalg.matrix_rank(fitted.matrix.numpy(), tol=1e-7) == rank
    values = np.linalg.eigvalsh(np.cov(x.numpy().T))[-rank:]
    assert fitted.condition == pytest.approx(values[-1] / values[0], rel=1e-6)
    whitened_values = np.linalg.eigvalsh(np.cov(fitted(x).numpy().T))
    np.testing.assert_allclose(whitened_values, [0.0] * (8 - rank) + [1.0] * rank, atol=1e-7)


@pytest.mark.parametrize("x", [rank_deficient(), literal.embeddings(8, 5, 8)], ids=["low rank", "N < d"])
def test_shrinkage_gives_full_rank(x):
    fitted = Whitening.fit(x, 0.15, 0.0)
    _, sigma = literal.shrunk(x.numpy(), 0.15, 0.0)
    assert fitted.rank == 8
    np.testing.assert_allclose(fitted.matrix, literal.inverse_root(sigma), rtol=1e-8, atol=1e-9)
    assert fitted.condition == pytest.approx(np.linalg.cond(sigma), rel=1e-8)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_float32_embeddings_get_statistics_of_float64_accuracy(offset):
    x = (literal.embeddings(9, 3000, 6) + offset).float()
    fitted = Whitening.fit(x)
    sigma = 0.85 * np.cov(x.numpy().astype(np.float64).T)
    sigma += (0.15 / 0.85 * np.trace(sigma) / 6 + 5e-8) * np.eye(6)
    assert (fitted.mean.dtype, fitted.matrix.dtype) == (torch.float64, torch.float32)
    assert fitted(x).dtype == torch.float32
    half_step = np.finfo(np.float32).eps / 2
    np.testing.assert_allclose(fitted.mean, x.double().mean(0), rtol=1.01 * half_step)
    root = literal.inverse_root(sigma)
    np.testing.assert_allclose(fitted.matrix, root, rtol=0, atol=1.01 * half_step * np.abs(root).max())
    assert fitted.condition == pytest.approx(np.linalg.cond(sigma), rel=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 95, 96, 97, 200])
def test_one_pass_is_the_literal_covariance_at_every_width(dtype, d):
    x = literal.embeddings(14, 30, d, mean=1000.0).to(dtype)
    expected_mean, expected = literal.covariance(x.numpy())
    mean, sigma = moments(x)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-13)
    np.testing.assert_allclose(sigma, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    torch.testing.assert_close(sigma, sigma.T, rtol=0, atol=1e-12 * float(sigma.abs().max()))


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 130), n=st.integers(2, 120), drift=st.floats(-1e3, 1e3))
def test_no_cut_into_blocks_changes_the_statistics(rows, n, drift):
    x = literal.embeddings(15, n, 3) + drift * torch.arange(n, dtype=torch.float64)[:, None]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gathered, "BLOCK_ELEMENTS", 3 * rows)
        mean, sigma = moments(x)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12, atol=1e-10)
    scale = float(x.var(0).max())
    np.testing.assert_allclose(sigma, np.cov(x.numpy().T), rtol=1e-10, atol=1e-12 * scale)


def test_projections_keep_their_digits_where_the_mean_is_a_thousand_deviations(monkeypatch):
    monkeypatch.setattr(gathered, "BLOCK_ELEMENTS", 2**14)
    x = literal.embeddings(16, 5000, 24)
    x = (
        x / x.std(0) + 1000.0 * torch.sign(torch.randn(24, generator=torch.Generator().manual_seed(1)))
    ).float()
    fitted = Whitening.fit(x)
    exact = (x.double() - x.double().mean(0)) @ fitted.matrix.double()
    assert float((fitted(x) - exact).abs().max()) < 2e-6
    folded = x @ fitted.matrix - fitted.mean.float() @ fitted.matrix
    assert float((folded - exact).abs().max()) > 2e-4, "what subtracting first avoids"


def test_projections_by_blocks_pass_gradients_on(monkeypatch):
    monkeypatch.setattr(gathered, "BLOCK_ELEMENTS", 2**12)
    x = literal.embeddings(17, 5000, 4).requires_grad_()
    fitted = Whitening.fit(x.detach())
    weight = torch.randn(5000, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (fitted(x) * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight @ fitted.matrix.T)


def test_whitening_commutes_with_mixing():
    x = literal.embeddings(12, 40, 6, mean=5.0)
    fitted = Whitening.fit(x)
    logits = torch.randn(9, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = torch.softmax(logits, 1)
    torch.testing.assert_close(fitted(p @ x), p @ fitted(x), rtol=1e-10, atol=1e-11)
    unnormalised = 1.01 * p
    assert not torch.allclose(fitted(unnormalised @ x), unnormalised @ fitted(x), atol=1e-3)


def test_one_value_in_the_middle_of_many_files_is_refused_with_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "BLOCK_ELEMENTS", 4 * 512)
    x = literal.embeddings(13, 3000, 4)
    x[2500, 1] = float("nan")
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", x[1000 * number : 1000 * (number + 1)].numpy())
    rows = FileRows.open([tmp_path / f"{number}.npy" for number in range(3)])
    with pytest.raises(ValueError, match=r"NaN or infinite values, the first in row 2,500$"):
        Whitening.fit(rows)


def test_statistics_of_files_are_those_of_the_tensor_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "BLOCK_ELEMENTS", 2**13)
    x = literal.embeddings(18, 5000, 7).float()
    np.save(tmp_path / "x.npy", x.numpy())
    from_file, from_memory = Whitening.fit(FileRows.open(tmp_path / "x.npy")), Whitening.fit(x)
    assert torch.equal(from_file.mean, from_memory.mean) and torch.equal(from_file.matrix, from_memory.matrix)
    assert (from_file.condition, from_file.count) == (from_memory.condition, from_memory.count)


def spoiled(value):
    x = literal.embeddings(13, 20, 4)
    x[11, 2] = value
    return x


@pytest.mark.parametrize(
    "x, said",
    [
        *(
            (spoiled(value), r"NaN or infinite values, the first in row 11$")
            for value in (np.nan, np.inf, -np.inf)
        ),
        *((torch.ones(shape), "N >= 2") for shape in ((1, 4), (0, 4))),
        *((torch.ones(shape), r"not \[N, d\]") for shape in ((4,), (2, 3, 4))),
        *((torch.full((10, 3), value), "all embeddings are equal") for value in (0.0, 0.1, 3.7)),
        (torch.full((10, 3), 0.1, dtype=torch.float64), "all embeddings are equal"),
    ],
)
def test_what_has_no_statistics_is_refused(x, said):
    with pytest.raises(ValueError, match=said):
        Whitening.fit(x)
