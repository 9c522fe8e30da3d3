"""The four decoders behind one interface."""

import pytest
import torch
from torch import Tensor
from works import decoders_of

from relrep_exp.config.schema import HeadConfig, LinearConfig, SvmConfig
from relrep_exp.tasks.decoders import heads
from relrep_exp.tasks.decoders.classifiers import Job

CONFIGS = {
    "mlp": HeadConfig(name="mlp"),
    "mlp_paper": HeadConfig(name="mlp_paper"),
    "linear": LinearConfig(name="linear"),
    "svm": SvmConfig(name="svm"),
}
HEADS = ("mlp", "mlp_paper")


def blobs(width: int = 5, n: int = 240, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three well-separated classes; the same centres for every seed."""
    centres = 4 * torch.randn(3, width, generator=torch.Generator().manual_seed(99))
    y = torch.arange(n) % 3
    return centres[y] + torch.randn(n, width, generator=torch.Generator().manual_seed(seed)), y


def fit(name: str, jobs: list[tuple[str, Tensor]], y: Tensor, seed: int = 0):
    return decoders_of(CONFIGS[name], [Job(n, x, y) for n, x in jobs], seed=seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_separable_classes_are_learnt_and_read_on_new_samples(name):
    (x, y), (new, new_y) = blobs(20, 960), blobs(20, 960, seed=1)
    (decoder,) = fit(name, [("a", x)], y)
    predicted = decoder.predict(new)
    assert predicted.shape == new_y.shape and predicted.dtype == torch.int64
    assert float((predicted == new_y).double().mean()) > 0.95


@pytest.mark.parametrize("name", CONFIGS)
def test_the_scaling_comes_from_training_features_alone(name):
    x, y = blobs()
    (decoder,) = fit(name, [("a", x)], y)
    expected = x.std() if name in HEADS else x.std(0, correction=0)
    torch.testing.assert_close(torch.as_tensor(decoder.scaling.scale), expected)
    before = decoder.scaling(x)
    decoder.predict(100 * x)
    assert torch.equal(decoder.scaling(x), before)
    (times_1000,) = fit(name, [("a", 1000 * x)], y)
    new, _ = blobs(seed=1)
    assert torch.equal(times_1000.predict(1000 * new), decoder.predict(new))


@pytest.mark.parametrize("name", ["mlp", "linear", "svm"])
def test_a_sample_is_read_without_its_neighbours(name):
    x, y = blobs()
    new, _ = blobs(seed=1)
    (decoder,) = fit(name, [("a", x)], y)
    whole = decoder.predict(new)
    assert torch.equal(torch.cat([decoder.predict(one[None]) for one in new[:20]]), whole[:20])
    assert torch.equal(decoder.predict(torch.cat([new[:20], 50 + 100 * new[20:]]))[:20], whole[:20])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_decoder_does_not_depend_on_what_is_fitted_beside_it_or_on_the_order(name):
    (x, y), (other, _), (wide, _) = blobs(), blobs(seed=3), blobs(width=7)
    new, _ = blobs(seed=1)
    new = new * 0.3  # near the borders
    (alone,) = fit(name, [("a", x)], y)
    beside = fit(name, [("w", wide), ("b", other), ("a", x)], y)
    assert torch.equal(alone.predict(new), beside[2].predict(new))
    assert beside[0].predict(wide).shape == y.shape


@pytest.mark.parametrize("name", HEADS)
def test_name_and_seed_decide_what_a_head_draws(name):
    x, y = blobs()
    banks = [
        fit(name, [job], y, seed)[0].decoder.bank
        for job, seed in ((("a", x), 0), (("b", x), 0), (("a", x), 1))
    ]
    again = fit(name, [("a", x)], y, 0)[0].decoder.bank
    torch.testing.assert_close(again.first, banks[0].first, rtol=0, atol=0)
    assert all(float((bank.first - banks[0].first).abs().max()) > 1e-2 for bank in banks[1:])


@pytest.mark.parametrize("name", HEADS)
def test_the_memory_bound_of_a_bank_splits_it_without_changing_heads(name, monkeypatch):
    jobs, y = [(letter, blobs(seed=seed)[0]) for seed, letter in enumerate("abc")], blobs()[1]
    whole = fit(name, jobs, y)
    monkeypatch.setattr(heads, "BANK_ELEMENTS", 2 * jobs[0][1].numel())
    split = fit(name, jobs, y)
    assert [decoder.decoder.bank.first.shape[0] for decoder in whole] == [3, 3, 3]
    assert [decoder.decoder.bank.first.shape[0] for decoder in split] == [2, 2, 1]
    new = 0.3 * blobs(seed=9)[0]
    for one, two in zip(whole, split, strict=True):
        assert torch.equal(one.predict(new), two.predict(new))


@pytest.mark.parametrize("name", HEADS)
def test_heads_on_other_labels_are_trained_in_the_same_bank_and_as_if_alone(name):
    (x, y), (other, _), (longer, long_y), (new, _) = blobs(), blobs(seed=3), blobs(n=300), blobs(seed=1)
    jobs = [Job("a", x, y), Job("b", other, (y + 1) % 3), Job("c", longer, long_y)]
    together = decoders_of(CONFIGS[name], jobs)
    assert [decoder.decoder.bank.first.shape[0] for decoder in together] == [2, 2, 1]
    for job, decoder in zip(jobs, together, strict=True):
        (alone,) = decoders_of(CONFIGS[name], [job])
        assert torch.equal(decoder.predict(0.3 * new), alone.predict(0.3 * new))


def test_mlp_paper_refuses_a_single_sample():
    x, y = blobs()
    (decoder,) = fit("mlp_paper", [("a", x)], y)
    with pytest.raises(ValueError, match="single sample"):
        decoder.predict(x[:1])


@pytest.mark.parametrize("name", CONFIGS)
def test_constant_features_are_fitted_without_dividing_by_zero(name):
    _, y = blobs()
    (decoder,) = fit(name, [("a", torch.ones(len(y), 4))], y)
    assert bool((torch.as_tensor(decoder.scaling.scale) == 1).all())
    assert decoder.predict(torch.ones(3, 4)).shape == (3,)
