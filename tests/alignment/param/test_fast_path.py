"""The fast path against the paper's formulas in float64: loss, gradient, P after 20 steps, and F1."""

import pytest
import torch

from relrep_exp.alignment import metrics
from relrep_exp.alignment.anchors import AnchorSet
from relrep_exp.alignment.param.learn import Param, ParamModule, ParamSettings
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.tasks.decoders.head_training import HeadSettings
from relrep_exp.tasks.decoders.heads import fit_heads
from relrep_exp.training.device import Training

from .synthetic import K, learn, views, whitened
from .test_param_golden import appendix_a, appendix_b, plain_loop

WEIGHTS = torch.tensor([0.70, 11.3, 0.27, 1.2], dtype=torch.float64)
M, STEPS_AN_EPOCH = 7, 4


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bf16", 2e-2)])
@pytest.mark.parametrize("encoders", [2, 3])
def test_loss_and_gradient(encoders, precision, tolerance):
    spaces = views(encoders)
    module = ParamModule(whitened(spaces), torch.arange(K), M, 3, Param(ParamSettings(), precision=precision))
    rows = torch.arange(5, 40)
    logits = module.logits.detach().double().requires_grad_()
    literal = appendix_a((logits / 2.9).softmax(1), [appendix_b(x) for x in spaces.values()], rows)
    expected = (WEIGHTS * torch.stack(literal)).sum()
    loss = module.training_step(rows[None], 0)["loss"]
    assert float(loss) == pytest.approx(float(expected), rel=tolerance)
    (gradient,), (exact,) = (
        torch.autograd.grad(*pair) for pair in ((loss, module.logits), (expected, logits))
    )
    assert float((gradient - exact).norm()) < tolerance * 2 * float(exact.norm())


@pytest.fixture(scope="module")
def twenty_steps():
    """P after 20 steps by the plain loop, and by the fast path in float32 and bf16."""
    how = {"seed": 4, "epochs": 20 // STEPS_AN_EPOCH, "lr": 0.05}
    spaces = views(3, noise=0.05)
    literal, _ = plain_loop(spaces, m=M, batch=16, **how)
    return literal, {name: learn(spaces, precision=name, **how).weights for name in ("float32", "bf16")}


def test_p_after_twenty_steps(twenty_steps):
    literal, fast = twenty_steps
    moved = (literal - learn(views(3, noise=0.05), seed=4, epochs=1, lr=0.0).weights).norm()
    assert float((fast["float32"] - literal).norm()) < 1e-4 * float(moved)
    assert float((fast["bf16"] - literal).norm()) < 3e-2 * float(moved)


def test_f1_of_a_head_that_reads_another_encoder(twenty_steps):
    """Trained on the first encoder's representations, it reads the third's as well, whoever learned P."""
    literal, fast = twenty_steps
    spaces = views(3, noise=0.05)
    y = (spaces["a"] - spaces["a"].mean(0))[:, 0].ge(0).long()

    def f1(p):
        space = RelativeSpace(AnchorSet(torch.arange(K), p.float())).fit(spaces)
        x = space.transform(spaces["a"], "a")
        bank = fit_heads([x], [y], 2, [0], HeadSettings(epochs=40, batch=16, lr=1e-2), Training())
        return metrics.weighted_f1(bank.predict_head(0, space.transform(spaces["c"], "c")), y)

    expected = f1(literal)
    assert expected > 0.8
    assert f1(fast["float32"]) == expected
    assert f1(fast["bf16"]) == pytest.approx(expected, abs=0.05)
