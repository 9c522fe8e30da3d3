"""What PARAM trains on against `losses.py`, which is Eq. 3 as printed: the same losses, the same gradient."""

from itertools import product

import pytest
import torch

from relrep_exp.alignment.param import fast, losses
from relrep_exp.alignment.param.learn import LOSSES, Param, ParamModule, ParamSettings
from relrep_exp.alignment.similarity import get_similarity

from .synthetic import K, M, views, whitened

SHAPES = {  # n, rows of a batch, K, m
    "more samples than anchors": (60, 35, 30, 7),
    "more anchors than support samples": (60, 12, 9, 20),
    "one sample, one anchor": (40, 1, 20, 1),
    "the whole set": (50, 50, 50, 16),
}
SETTINGS = [
    {"coverage_chunk": 4},
    {"nce_temperature": 0.01},  # wide logits
    {"coverage_temperature": 0.3, "temperature": 0.5},  # hard assignments
]
CASES = [
    *product(SHAPES, (1, 2, 3), ("wip", "cosine", "euclidean"), [{}]),
    *product(["more samples than anchors"], (1, 3), ("wip", "cosine"), SETTINGS),
]


def both(spaces, k, m, rows, similarity, settings, precision="float32"):
    """Each loss, Eq. 3 and its gradient by the logits, as trained and as printed."""
    ids, sim = torch.arange(k), get_similarity(similarity)
    module = ParamModule(spaces, ids, m, 3, Param(settings, sim, precision=precision))
    logits = module.logits.detach().clone().requires_grad_()
    printed = losses.terms(logits, list(spaces.values()), ids, rows, settings, sim)
    expected = losses.total(printed, settings.weights())
    got, trained = module.objective(rows), module.training_step(rows[None], 0)["loss"]
    (gradient,), (exact,) = (
        torch.autograd.grad(*pair) for pair in ((trained, module.logits), (expected, logits))
    )
    return (got, trained, gradient), (printed, expected, exact)


def compare(one, other, tolerance):
    (got, trained, gradient), (printed, expected, exact) = one, other
    assert list(got) == list(printed) == list(LOSSES)
    for name in LOSSES:
        assert float(got[name]) == pytest.approx(float(printed[name]), rel=tolerance, abs=tolerance), name
    assert float(trained) == pytest.approx(float(expected), rel=tolerance)
    assert float(exact.norm()) > 1e-5
    assert float((gradient - exact).norm()) < tolerance * float(exact.norm())


@pytest.mark.parametrize("shape, encoders, similarity, settings", CASES)
def test_losses_and_gradient_are_those_of_the_equation_as_printed(shape, encoders, similarity, settings):
    n, batch, k, m = SHAPES[shape]
    raw = {name: x.double() for name, x in views(encoders, n).items()}
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(1))[:batch]
    found = both(whitened(raw), k, m, rows, similarity, ParamSettings(**settings))
    compare(*found, 1e-9)


@pytest.mark.parametrize("precision, tolerance", [("float32", 2e-5), ("bf16", 4e-2)])
@pytest.mark.parametrize("encoders, similarity", [(1, "wip"), (3, "wip"), (3, "cosine")])
def test_in_fewer_bits_they_differ_by_rounding(encoders, similarity, precision, tolerance):
    spaces, rows = whitened(views(encoders)), torch.arange(5, 40)
    compare(*both(spaces, K, M, rows, similarity, ParamSettings(), precision), tolerance)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_never_asks_the_device_for_a_number(precision):
    loss, logits = step_without_numbers(precision)
    (gradient,) = torch.autograd.grad(loss, [logits])
    assert (gradient.device.type, gradient.shape) == ("meta", (M, K))


def test_asking_for_a_number_would_be_noticed(monkeypatch):
    monkeypatch.setattr(fast, "length", lambda squares: squares.sum().item() * squares.mean(1))
    with pytest.raises(RuntimeError, match="meta"):
        step_without_numbers("float32")


def step_without_numbers(precision):
    """A step of a module whose tensors have no numbers: who asks for one, as for a GPU's, gets an error."""
    module = ParamModule(
        whitened(views(3)), torch.arange(K), M, 0, Param(ParamSettings(), precision=precision)
    )
    module.logits = torch.nn.Parameter(module.logits.detach().to("meta"))
    for name in ("whitened", "squares", "support", "_widths"):
        setattr(module, name, getattr(module, name).to("meta"))
    rows = torch.zeros(1, 16, dtype=torch.int64, device="meta")
    return module.training_step(rows, 0)["loss"], module.logits
