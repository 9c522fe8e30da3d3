"""PARAM from start to end: what it learns, what it depends on, and a golden run."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment.anchors import get_anchor_strategy
from relrep_exp.alignment.param import fast
from relrep_exp.alignment.param.learn import LOSSES, Param, ParamSettings, warn_of_rounding
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.errors import UserError
from relrep_exp.training.device import Training

from .synthetic import K, M, N, learn, views, whitened

FIELDS = ("nce_weight", "coverage_weight", "orthogonality_weight", "length_weight")


def test_defaults_are_table_5():
    settings = ParamSettings()
    assert (settings.temperature, settings.epochs, settings.lr, settings.batch) == (2.9, 95, 0.03, 1024)
    rest = settings.coverage_chunk, settings.nce_temperature, settings.coverage_temperature
    assert rest == (16384, 0.1, 2.7)
    assert settings.weights() == {"symnce": 0.70, "coverage": 11.3, "orthogonality": 0.27, "length": 1.2}
    assert get_anchor_strategy("param") == Param()
    assert Param().similarity == get_similarity("wip")


@pytest.mark.parametrize("similarity", ["wip", "cosine"])
def test_the_objective_falls_and_every_curve_has_an_entry_per_epoch(similarity):
    told = []
    watched = Training(on_epoch=lambda epoch, means: told.append((epoch, means)))
    anchors = learn(epochs=40, lr=0.2, batch=N, similarity=similarity, training=watched)
    assert list(anchors.curves) == list(LOSSES)
    assert [epoch for epoch, _ in told] == list(range(40))
    assert {name: [means[name] for _, means in told] for name in LOSSES} == dict(anchors.curves)
    weights = ParamSettings().weights()
    totals = np.sum([weights[name] * np.array(curve) for name, curve in anchors.curves.items()], axis=0)
    assert totals[-1] < 0.8 * totals[0]
    for name in ("symnce", "orthogonality", "length"):
        assert anchors.curves[name][-1] < 0.8 * anchors.curves[name][0], name


@pytest.mark.parametrize("term, weight", zip(LOSSES, FIELDS, strict=True))
def test_each_loss_alone_falls(term, weight):
    off = dict.fromkeys(FIELDS, 0.0)
    curve = learn(epochs=25, lr=0.4, batch=N, **{**off, weight: 1.0}).curves[term]
    assert curve[-1] < 0.97 * curve[0]


def test_p_is_row_stochastic_on_the_cpu_and_nothing_but_the_seed_decides():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    anchors = learn(epochs=3)
    assert torch.equal(torch.rand(3), expected)  # global randomness is neither read nor moved
    assert anchors.weights.shape == (M, K) and float(anchors.weights.min()) > 0
    np.testing.assert_allclose(anchors.weights.sum(1), np.ones(M), rtol=1e-6)
    assert torch.equal(anchors.ids, torch.arange(K)) and not anchors.weights.requires_grad
    again, other = learn(epochs=3), learn(epochs=3, seed=1)
    assert torch.equal(anchors.weights, again.weights) and dict(anchors.curves) == dict(again.curves)
    assert float((anchors.weights - other.weights).abs().max()) > 1e-2


def test_anchors_may_outnumber_samples_and_dimensions():
    anchors = learn(m=40, k=10, epochs=2)
    assert anchors.weights.shape == (40, 10)
    assert all(np.isfinite(curve).all() for curve in anchors.curves.values())


def test_multi_learns_on_all_encoders_in_any_order_and_single_on_the_first():
    spaces = views(3)
    multi, backwards = learn(spaces, epochs=3), learn(dict(reversed(spaces.items())), epochs=3)
    torch.testing.assert_close(multi.weights, backwards.weights, rtol=1e-3, atol=1e-5)
    alone, single = learn({"a": spaces["a"]}, epochs=3), learn(spaces, epochs=3, single=True)
    assert torch.equal(single.weights, alone.weights)
    assert set(alone.curves["symnce"]) == {0.0} and min(multi.curves["symnce"]) > 0
    assert float((multi.weights - alone.weights).abs().max()) > 1e-3


def test_only_the_chunk_of_the_coverage_loss_may_change_without_changing_p():
    whole = learn(epochs=2).weights
    torch.testing.assert_close(learn(epochs=2, coverage_chunk=5).weights, whole, rtol=1e-4, atol=1e-6)
    for name, value in {"temperature": 2.0, "coverage_temperature": 1.0, "nce_temperature": 0.2}.items():
        assert float((learn(epochs=2, **{name: value}).weights - whole).abs().max()) > 1e-4, name


def test_a_divergence_is_told_by_the_names_of_the_losses():
    with pytest.raises(UserError, match=r"diverged in epoch 0: symnce, coverage, orthogonality, length"):
        learn(lr=1e38)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_embeddings_that_are_not_finite_never_become_anchors(value):
    spaces = whitened(views(1))
    spaces["a"].whitened[N - 1, 0] = value  # outside the support: only coverage sees it
    with pytest.raises(
        UserError, match=r"epoch 0: coverage(, orthogonality, length)? is not finite"
    ) as caught:
        Param(ParamSettings(epochs=1, batch=16))(spaces, torch.arange(K), M, 0)
    assert "anchors.lr" in caught.value.problems[0].remedy


def test_hyperparameters_are_picked_from_a_larger_mapping():
    made = Param().configured({"m": 5, "name": "param", "lr": 0.5}, get_similarity("cosine"), Training())
    assert made.settings == ParamSettings(lr=0.5)
    assert made.similarity.name == "cosine"


def test_bf16_learns_nearly_what_float32_learns_and_says_where_it_is_no_faster(caplog, monkeypatch):
    found, spaces = {}, views(3)
    for instructions in (True, False):
        monkeypatch.setattr(fast, "cpu_has_bf16", lambda has=instructions: has)
        caplog.clear()
        warn_of_rounding.cache_clear()
        found[instructions] = learn(spaces, epochs=6, lr=0.1, precision="bf16")
        learn(spaces, epochs=1, batch=N, precision="bf16")
        assert caplog.text.count("no bfloat16 instructions") == (0 if instructions else 1)
    exact, low = learn(spaces, epochs=6, lr=0.1), found[False]
    torch.testing.assert_close(found[True].weights, low.weights, rtol=0.05, atol=1e-4)
    assert not torch.equal(exact.weights, low.weights)
    moved = exact.weights - learn(spaces, epochs=1, batch=N, lr=1e-12).weights
    assert float((exact.weights - low.weights).norm()) < 0.05 * float(moved.norm())
    for name in LOSSES:
        assert low.curves[name][-1] == pytest.approx(exact.curves[name][-1], rel=0.01), name
