"""Banks of heads: each head is the network that it claims to be, and knows nothing of its neighbours."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from relrep_exp.config.schema import HeadConfig
from relrep_exp.tasks.decoders import head_training
from relrep_exp.tasks.decoders.head_training import HeadTraining, fit_heads
from relrep_exp.tasks.decoders.heads import Head, HeadBank
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches
from relrep_exp.training.seeding import generator

N, WIDTH, CLASSES = 43, 6, 3
DOUBLE = torch.float64
SEEDS = [11, 12, 13]
NAMES = ("mlp", "mlp_paper")


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    """An epoch of these few samples has several, the last of them not full."""
    monkeypatch.setattr(head_training, "STEPS", 2)


def data(count: int = 3, width: int = WIDTH, n: int = N) -> tuple[list[Tensor], Tensor]:
    """Features [n, width] for each head, and labels that depend on them."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % CLASSES
    centres = 3 * torch.randn(CLASSES, width, generator=g, dtype=DOUBLE)
    noise = [torch.randn(n, width, generator=g, dtype=DOUBLE) for _ in range(count)]
    return [centres[y] + one for one in noise], y


def settings(name: str = "mlp", **changes) -> HeadConfig:
    return HeadConfig(**{"name": name, "epochs": 3, "batch": 8, "lr": 0.02, **changes})


def scores(x, y, seeds=SEEDS, training=None, **changes) -> Tensor:
    """How heads that are trained on x score x, [H, N, C]."""
    labels = y if isinstance(y, list) else [y] * len(x)
    bank = fit_heads(x, labels, CLASSES, seeds, settings(**changes), training or Training())
    return bank.logits(torch.stack(list(x))).detach()


class GivenDropout(nn.Module):
    """Dropout with a generator of its own."""

    def __init__(self, dropout: float, draws: torch.Generator):
        super().__init__()
        self.keep, self.draws = 1.0 - dropout, draws

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape, generator=self.draws) < self.keep) / self.keep


class OverBatch(nn.Module):
    """InstanceNorm1d of [B, k] seen as [k, B] with samples as positions: each feature over the batch."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.InstanceNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(1, 0)[None])[0].permute(1, 0)


def trained_plainly(x: Tensor, y: Tensor, seed: int, how: HeadConfig) -> nn.Sequential:
    """One head as torch's own layers, optimizer and DataLoader train it, with the same order and dropout."""
    draws = generator(seed, "head", WIDTH, CLASSES)
    bank = HeadBank(x, CLASSES, [draws], how)
    layers = nn.Sequential(
        nn.LayerNorm(WIDTH),
        nn.Linear(WIDTH, WIDTH),
        nn.Tanh(),
        GivenDropout(how.dropout, draws),
        OverBatch(WIDTH) if how.name == "mlp_paper" else nn.LayerNorm(WIDTH),
        nn.Linear(WIDTH, CLASSES),
    ).double()
    with torch.no_grad():
        for layer, weights, biases in (
            (layers[1], bank.first, bank.first_bias),
            (layers[5], bank.last, bank.last_bias),
        ):
            layer.weight.copy_(weights[0].T)
            layer.bias.copy_(biases[0, 0])
    adam = torch.optim.Adam(layers.parameters(), how.lr, weight_decay=how.weight_decay)
    order = EpochBatches(len(x), len(x), [seed], torch.device("cpu"))
    for epoch in range(how.epochs):
        order.set_epoch(epoch)
        rows = next(iter(order))[0].tolist()
        for features, classes in DataLoader(TensorDataset(x, y), how.batch, sampler=rows):
            adam.zero_grad()
            nn.functional.cross_entropy(layers(features), classes).backward()
            adam.step()
    return layers.eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_heads_of_several_seeds_and_labels_are_those_that_torch_trains_one_by_one(name, dropout):
    x, y = data(4)
    labels = [y, y, (y + 1) % CLASSES, y.roll(7)]
    seeds, how = [7, 8, 7, 9], settings(name, dropout=dropout, weight_decay=0.01)
    bank = fit_heads(x, labels, CLASSES, seeds, how, Training())
    for head, seed in enumerate(seeds):
        new = x[head][:17] + 0.5
        expected = trained_plainly(x[head], labels[head], seed, how)(new).detach()
        found = bank.logits(new[None], slice(head, head + 1))[0].detach()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(Head(bank, head).predict(new), found.argmax(1))
    assert float((bank.scale - 1).abs().max()) > 1e-2


@pytest.mark.parametrize("threads", [2, 8])
def test_the_number_of_threads_changes_no_head_and_is_left_as_it_was(threads):
    x, y = data()
    before, alone = torch.get_num_threads(), scores(x, y)
    try:
        torch.set_num_threads(threads)
        shared = scores(x, y)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(shared, alone, rtol=1e-8, atol=1e-8)


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_killed_fit_resumes_to_the_same_heads_with_whatever_threads(tmp_path, monkeypatch):
    x, y = data()
    file, whole, before = tmp_path / "heads.ckpt", scores(x, y), torch.get_num_threads()
    step, steps = HeadTraining.training_step, iter(range(100))

    def dies(self, rows, number):
        if next(steps) == 5:  # an epoch has three of Lightning's steps
            raise KilledError
        step(self, rows, number)

    try:
        torch.set_num_threads(2)
        with monkeypatch.context() as patched, pytest.raises(KilledError):
            patched.setattr(HeadTraining, "training_step", dies)
            scores(x, y, training=Training(False, file, 0.0))
    finally:
        torch.set_num_threads(before)
    assert file.exists()
    seen = []
    monkeypatch.setattr(HeadTraining, "training_step", lambda *given: seen.append(1) or step(*given))
    resumed = scores(x, y, training=Training(False, file, 0.0))
    assert len(seen) == 6  # of nine
    torch.testing.assert_close(resumed, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_heads_trained_together_are_those_trained_alone(name):
    x, y = data()
    torch.manual_seed(1)
    together = scores(x, y, name=name)
    torch.manual_seed(2)
    for head, seed in enumerate(SEEDS):
        alone = scores([x[head]], y, [seed], name=name)
        torch.testing.assert_close(together[head], alone[0], rtol=1e-8, atol=1e-8)


def test_the_same_seed_gives_the_same_head_and_another_seed_another():
    (x, *_), y = data(1)
    first, same, other = scores([x, x, x], y, [5, 5, 6])
    torch.testing.assert_close(first, same, rtol=1e-12, atol=1e-12)
    assert float((first - other).abs().max()) > 1e-2


def test_fresh_weights_are_drawn_as_torch_draws_them():
    (x,), _ = data(1, width=100)
    bank = HeadBank(x, CLASSES, [generator(seed) for seed in (0, 1)], settings())
    for values in (bank.first, bank.first_bias, bank.last, bank.last_bias):
        assert float(values.abs().max()) <= 0.1
    assert float(bank.first.abs().mean()) == pytest.approx(0.05, rel=0.03)
    assert float(bank.first.mean()) == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("name", NAMES)
def test_a_last_batch_of_one_sample_does_no_harm(name):
    x, y = data(1, n=33)
    assert bool(torch.isfinite(scores(x, y, [0], name=name, batch=16)).all())
