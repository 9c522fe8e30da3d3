"""The four decoders behind one interface."""

import pytest
import torch
from torch import Tensor
from works import decoders_of

from relrep_exp.config.schema import HeadConfig, LinearConfig, SvmConfig
from relrep_exp.tasks.decoders import head_training
from relrep_exp.tasks.decoders.classifiers import Job

CONFIGS = {
    "mlp": HeadConfig(name="mlp", epochs=5),
    "mlp_paper": HeadConfig(name="mlp_paper", epochs=5),
    "linear": LinearConfig(name="linear"),
    "svm": SvmConfig(name="svm"),
}
HEADS = ("mlp", "mlp_paper")


def blobs(width: int = 20, n: int = 240, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Three well-separated classes; the same centres for every seed."""
    centres = 4 * torch.randn(3, width, generator=torch.Generator().manual_seed(99))
    y = torch.arange(n) % 3
    return centres[y] + torch.randn(n, width, generator=torch.Generator().manual_seed(seed)), y


X, Y = blobs()
NEW, NEW_Y = blobs(seed=1)
NEAR = 0.3 * NEW  # the borders


def fit(name: str, *jobs: Job, seed: int = 0):
    return decoders_of(CONFIGS[name], jobs or [Job("a", X, Y)], seed=seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_separable_classes_are_learnt_and_read_on_new_samples(name):
    (decoder,) = fit(name)
    predicted = decoder.predict(NEW)
    assert predicted.shape == NEW_Y.shape and predicted.dtype == torch.int64
    assert float((predicted == NEW_Y).double().mean()) > 0.95


@pytest.mark.parametrize("name", CONFIGS)
def test_the_scaling_comes_from_training_features_alone(name):
    (decoder,) = fit(name)
    expected = X.std() if name in HEADS else X.std(0, correction=0)
    torch.testing.assert_close(torch.as_tensor(decoder.scaling.scale), expected)
    before = decoder.scaling(X)
    decoder.predict(100 * X)
    assert torch.equal(decoder.scaling(X), before)
    (times_1000,) = fit(name, Job("a", 1000 * X, Y))
    assert torch.equal(times_1000.predict(1000 * NEW), decoder.predict(NEW))


@pytest.mark.parametrize("name", ["mlp", "linear", "svm"])
def test_a_sample_is_read_without_its_neighbours(name):
    (decoder,) = fit(name)
    whole = decoder.predict(NEAR)
    assert torch.equal(torch.cat([decoder.predict(one[None]) for one in NEAR[:20]]), whole[:20])
    assert torch.equal(decoder.predict(torch.cat([NEAR[:20], 50 + 100 * NEAR[20:]]))[:20], whole[:20])


def test_mlp_paper_refuses_a_single_sample():
    (decoder,) = fit("mlp_paper")
    with pytest.raises(ValueError, match="cannot read a single sample; use mlp"):
        decoder.predict(X[:1])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_decoder_does_not_depend_on_what_is_fitted_beside_it_or_on_the_order(name):
    (other, _), (wide, _) = blobs(seed=3), blobs(width=7)
    (alone,) = fit(name)
    beside = fit(name, Job("w", wide, Y), Job("b", other, Y), Job("a", X, Y))
    assert torch.equal(alone.predict(NEAR), beside[2].predict(NEAR))
    assert beside[0].predict(wide).shape == Y.shape


@pytest.mark.parametrize("name", HEADS)
def test_name_and_seed_decide_what_a_head_draws(name):
    first, again, other_name, other_seed = (
        fit(name, Job(job, X, Y), seed=seed)[0].decoder.bank.first
        for job, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    )
    assert torch.equal(first, again)
    assert min(float((one - first).abs().max()) for one in (other_name, other_seed)) > 1e-2


@pytest.mark.parametrize("name", HEADS)
def test_heads_on_other_labels_share_a_bank_if_memory_allows_and_are_as_if_alone(name, monkeypatch):
    (other, _), (third, _), (longer, long_y) = blobs(seed=3), blobs(seed=4), blobs(n=300)
    jobs = [Job("a", X, Y), Job("b", other, (Y + 1) % 3), Job("c", third, Y), Job("d", longer, long_y)]
    alone = [fit(name, job)[0].predict(NEAR) for job in jobs]
    for elements, sizes in ((head_training.BANK_ELEMENTS, [3, 3, 3, 1]), (2 * X.numel(), [2, 2, 1, 1])):
        monkeypatch.setattr(head_training, "BANK_ELEMENTS", elements)
        together = fit(name, *jobs)
        assert [decoder.decoder.bank.first.shape[0] for decoder in together] == sizes
        assert all(torch.equal(d.predict(NEAR), one) for d, one in zip(together, alone, strict=True))
