"""Products in a precision: what is rounded, and that the losses bear it."""

import pytest
import torch

from relrep_exp.alignment.param import fast
from relrep_exp.alignment.param.fast import Products

FULL = Products()
LOW = Products("bf16")


def matrices(n=7, k=33, m=5):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, k, generator=g), torch.randn(k, m, generator=g)


@pytest.fixture(params=["instructions", "none"])
def processor(request, monkeypatch):
    """With and without bfloat16 instructions; torch computes either way."""
    monkeypatch.setattr(fast, "cpu_has_bf16", lambda: request.param == "instructions")


def literal(a, b):
    """Operands rounded, product in float64, result rounded."""
    return (a.bfloat16().double() @ b.bfloat16().double()).bfloat16().double()


def test_float32_and_tf32_on_the_cpu_are_plain_products():
    a, b = matrices()
    for precision in ("float32", "tf32"):
        exact = Products(precision)
        assert exact.operand(a) is a
        with exact.on(a.device):
            assert torch.equal(exact.product(a, b), a @ b)


@pytest.mark.usefixtures("processor")
def test_bf16_rounds_operands_and_result_and_sums_in_float32():
    a, b = matrices()
    got = LOW.product(a, LOW.operand(b))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), literal(a, b), rtol=2**-7, atol=1e-3)
    assert torch.equal(got, got.bfloat16().float())
    assert not torch.equal(got, a @ b)


@pytest.mark.usefixtures("processor")
def test_an_operand_made_once_gives_the_same_numbers():
    a, b = matrices()
    b = LOW.operand(b)
    assert torch.equal(LOW.product(LOW.operand(a), b), LOW.product(a, b))
    assert torch.equal(LOW.operand(LOW.operand(a)).float(), LOW.operand(a).float())


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("chosen", [FULL, LOW], ids=["float32", "bf16"])
def test_results_go_where_they_are_told_and_add_up(chosen):
    a, b = matrices()
    b = chosen.operand(b)
    expected = chosen.product(a, b)
    wide = torch.full((7, 9), 3.0)
    place = wide[:, 2:7]
    chosen.product(a, b, out=place)
    assert torch.equal(place, expected)
    assert bool((wide[:, :2] == 3).all()) and bool((wide[:, 7:] == 3).all())
    chosen.add_product(place, a, b)
    torch.testing.assert_close(place, 2 * expected, rtol=1e-6, atol=1e-5)


def test_a_processor_without_instructions_multiplies_float32(monkeypatch):
    """Its own bfloat16 products are hundreds of times slower."""
    monkeypatch.setattr(fast, "cpu_has_bf16", lambda: False)
    a, _ = matrices()
    assert LOW.operand(a).dtype == torch.float32
    monkeypatch.setattr(fast, "cpu_has_bf16", lambda: True)
    assert LOW.operand(a).dtype == torch.bfloat16
