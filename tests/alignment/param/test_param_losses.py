"""PARAM's losses against Appendix A, term by term, and their gradients."""

import numpy as np
import pytest
import torch

from alignment import literal
from relrep_exp.alignment.param import fast, losses

DOUBLE, FULL = torch.float64, fast.Products()


def normal(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def cover(x, anchors, tau, chunk=10**9):
    """The package's coverage for lists of whitened x [B, d_i] and anchors [m, d_i]."""
    products = torch.stack([a @ b.T for a, b in zip(x, anchors, strict=True)])
    squares = torch.stack([a.square().sum(1) for a in x])
    anchor_squares = torch.stack([a.square().sum(1) for a in anchors])
    dims = torch.tensor([a.shape[1] for a in x], dtype=DOUBLE)
    return fast.coverage(products, squares, anchor_squares, dims, tau, chunk)


@pytest.mark.parametrize("temperature", [2.9, 0.3])
def test_mixture_is_the_softmax_of_each_row(temperature):
    logits = normal(0, 4, 9)
    p = losses.mixture(logits, temperature)
    np.testing.assert_allclose(p, literal.mixture(logits.numpy(), temperature), rtol=1e-12)
    np.testing.assert_allclose(p.sum(1), np.ones(4), rtol=1e-12)


@pytest.mark.parametrize("tau", [2.7, 0.2, 50.0])
def test_coverage_is_appendix_a_for_encoders_of_different_dimension(tau):
    x, anchors = [normal(1, 8, 3), normal(2, 8, 6)], [normal(3, 5, 3), normal(4, 5, 6)]
    expected = [literal.coverage(a.numpy(), b.numpy(), tau) for a, b in zip(x, anchors, strict=True)]
    np.testing.assert_allclose(cover(x, anchors, tau), expected, rtol=1e-10)


@pytest.mark.parametrize("chunk", [1, 3, 4, 8, 11])
def test_coverage_does_not_depend_on_the_chunk_in_value_or_gradient(chunk):
    def both(size):
        x, anchors = normal(1, 11, 4), normal(2, 5, 4).requires_grad_()
        value = cover([x, 2 * x], [anchors, anchors], 2.7, size)
        (gradient,) = torch.autograd.grad(value.sum(), anchors)
        return value.detach(), gradient

    (value, gradient), (whole, whole_gradient) = both(chunk), both(10**9)
    torch.testing.assert_close(value, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, whole_gradient, rtol=1e-10, atol=1e-12)
    assert float(whole_gradient.abs().max()) > 1e-3


@pytest.mark.parametrize("chunk", [8, 64])
def test_coverage_holds_a_chunk_of_assignments_and_keeps_one_gradient(monkeypatch, chunk):
    kept, held = list[int](), list[int]()
    products = normal(1, 1, 64, 16).requires_grad_()
    squares, dims = normal(2, 1, 16).square(), torch.ones(1, dtype=DOUBLE)
    softmax = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda s, dim: (held.append(s.numel()), softmax(s, dim=dim))[1])
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        fast.coverage(products, normal(3, 1, 64).square(), squares, dims, 2.7, chunk)
    assert held == [chunk * 16] * (64 // chunk)
    assert sum(kept) < 64 * 16 + 64


def test_orthogonality_is_the_mean_squared_cosine_of_distinct_pairs():
    anchors = [normal(1, 6, 4), normal(2, 6, 9)]
    got = fast.orthogonality(torch.stack([a @ a.T for a in anchors]))
    np.testing.assert_allclose(got, [literal.orthogonality(a.numpy()) for a in anchors], rtol=1e-10)


def test_orthogonality_is_zero_for_orthogonal_anchors_one_for_parallel_and_zero_for_one_anchor():
    orthogonal, parallel = torch.diag(torch.tensor([1.0, 4.0, 9.0])), torch.outer(*[torch.arange(1.0, 4)] * 2)
    got = fast.orthogonality(torch.stack([orthogonal, parallel]))
    np.testing.assert_allclose(got, [0.0, 1.0], atol=1e-6)
    assert float(fast.orthogonality(torch.full((1, 1, 1), 2.0))) == pytest.approx(0.0, abs=1e-6)


def test_length_is_appendix_a():
    anchors = [normal(1, 6, 4), normal(2, 6, 9)]
    got = fast.length(torch.stack([a.square().sum(1) for a in anchors]))
    np.testing.assert_allclose(got, [literal.length(a.numpy()) for a in anchors], rtol=1e-12)
    assert float(fast.length(torch.ones(1, 3))) == 0.0


@pytest.mark.parametrize("tau", [0.1, 1.0, 0.0251, 0.0249, 0.01, 1e-3])
@pytest.mark.parametrize("encoders", [2, 3])
def test_sym_nce_is_appendix_a(encoders, tau):
    """tau below 0.025 takes the other way of summing."""
    r = normal(3, encoders, 6, 5)
    expected = literal.sym_nce(list(r.numpy()), tau)
    assert expected > 0.1
    assert float(fast.sym_nce(r, tau, FULL)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("tau", [0.1, 0.0255, 0.01])
def test_sym_nce_in_float32_stays_finite_and_right_for_far_and_near_logits(tau):
    """Opposite and equal rows: logits at both ends of their range."""
    r = normal(4, 2, 32, 4).float()
    r[1, ::2], r[1, 1::2] = r[0, ::2], -r[0, 1::2]
    r = r.requires_grad_()
    loss = fast.sym_nce(r, tau, FULL)
    loss.backward()
    assert bool(torch.isfinite(r.grad).all())
    expected = literal.sym_nce(list(r.detach().double().numpy()), tau)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_sym_nce_of_one_encoder_is_zero_and_of_equal_spaces_is_least():
    r = normal(5, 1, 6, 5)
    assert float(fast.sym_nce(r, 0.1, FULL)) == 0.0
    aligned, other = torch.cat([r, 3 * r]), torch.cat([r, normal(6, 1, 6, 5)])
    assert float(fast.sym_nce(aligned, 0.01, FULL)) < 0.05 < float(fast.sym_nce(other, 0.01, FULL))


LOSSES = {
    "coverage whole": lambda v: cover([normal(1, 4, 3)], [v], 2.7),
    "coverage chunked": lambda v: cover([normal(1, 4, 3)], [v], 2.7, chunk=2),
    "orthogonality": lambda v: fast.orthogonality((v @ v.T)[None]),
    "length": lambda v: fast.length(v.square().sum(1)[None]),
    "symnce": lambda v: fast.sym_nce(torch.stack([v, v @ normal(7, 3, 3), normal(8, 5, 3)]), 0.1, FULL),
    "symnce, small tau": lambda v: fast.sym_nce(torch.stack([v, v @ normal(7, 3, 3)]), 0.02, FULL),
    "mixture": lambda v: losses.mixture(v, 2.9),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    v = normal(2, 5, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name](v).square().sum(), v)
    assert float(gradient.abs().max()) > 1e-6
    assert torch.autograd.gradcheck(LOSSES[name], (v,))
