"""Banks of heads: each head is the network that it claims to be, and knows nothing of its neighbours."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from relrep_exp.tasks.decoders.head_training import HeadSettings, HeadTraining
from relrep_exp.tasks.decoders.heads import HeadBank, fit_heads, head_training
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches
from relrep_exp.training.seeding import generator

N, WIDTH, CLASSES, HEADS = 41, 6, 3, 3
DOUBLE = torch.float64


def data(count: int = HEADS, width: int = WIDTH, n: int = N) -> tuple[list[Tensor], Tensor]:
    """Features [n, width] for each head, and labels that depend on them."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % CLASSES
    centres = 3 * torch.randn(CLASSES, width, generator=g, dtype=DOUBLE)
    noise = [torch.randn(n, width, generator=g, dtype=DOUBLE) for _ in range(count)]
    return [centres[y] + one for one in noise], y


def settings(**changes) -> HeadSettings:
    return HeadSettings(**{"epochs": 4, "batch": 16, **changes})


def fitted(x, y, seeds, **changes) -> HeadBank:
    return fit_heads(x, [y] * len(x), CLASSES, seeds, settings(**changes), Training())


def fresh(x, seeds, **changes) -> tuple[HeadBank, list[torch.Generator]]:
    """A bank before its first step and the generators that go on to draw its dropout."""
    generators = [generator(seed, "head", x[0].shape[1], CLASSES) for seed in seeds]
    return HeadBank(torch.stack(x), CLASSES, generators, settings(**changes)), generators


class GivenDropout(nn.Module):
    """Dropout with a generator of its own."""

    def __init__(self, dropout: float, draws: torch.Generator):
        super().__init__()
        self.keep, self.draws = 1.0 - dropout, draws

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand(x.shape, generator=self.draws) < self.keep) / self.keep


class OverBatch(nn.Module):
    """InstanceNorm1d of [B, k] seen as [k, B] with samples as positions: each feature over the batch."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.InstanceNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(1, 0)[None])[0].permute(1, 0)


def network(bank: HeadBank, head: int) -> nn.Sequential:
    """The same head made of torch's own layers."""
    width, classes = bank.last.shape[1:]
    second = OverBatch(width) if bank.settings.over_batch else nn.LayerNorm(width)
    layers = nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Dropout(bank.settings.dropout),
        second,
        nn.Linear(width, classes),
    ).double()
    with torch.no_grad():
        layers[0].weight.copy_(bank.scale[head, 0])
        layers[0].bias.copy_(bank.shift[head, 0])
        layers[1].weight.copy_(bank.first[head].T)
        layers[1].bias.copy_(bank.first_bias[head, 0])
        layers[5].weight.copy_(bank.last[head].T)
        layers[5].bias.copy_(bank.last_bias[head, 0])
        if not bank.settings.over_batch:
            layers[4].weight.copy_(bank.scale2[head, 0])
            layers[4].bias.copy_(bank.shift2[head, 0])
    return layers


@pytest.mark.parametrize("over_batch", [False, True])
def test_a_trained_head_is_its_sequence_of_torch_layers(over_batch):
    x, y = data()
    bank = fitted(x, y, [1, 2, 3], over_batch=over_batch, lr=0.05)
    new = torch.stack(x)[:, :17] + 0.5
    scores = bank.logits(new).detach()
    for head in range(HEADS):
        layers = network(bank, head).eval()
        torch.testing.assert_close(scores[head], layers(new[head]).detach(), rtol=1e-9, atol=1e-9)
        assert torch.equal(bank.predict_head(head, new[head]), scores[head].argmax(1))
    assert float((bank.scale - 1).abs().max()) > 1e-3


def trained_plainly(x: Tensor, y: Tensor, seed: int, **changes) -> nn.Sequential:
    """One head as torch's own layers, optimizer and DataLoader train it, with the same order and dropout."""
    bank, (draws,) = fresh([x], [seed], **changes)
    layers, how = network(bank, 0), bank.settings
    layers[3] = GivenDropout(how.dropout, draws)
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


@pytest.mark.parametrize("over_batch", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_heads_of_several_seeds_and_labels_are_those_that_torch_trains_one_by_one(over_batch, dropout):
    x, y = data(4, n=333)
    labels = [y, y, (y + 1) % CLASSES, y.roll(7)]
    seeds = [7, 8, 7, 9]
    changes = {"over_batch": over_batch, "dropout": dropout, "lr": 0.02, "weight_decay": 0.01, "epochs": 3}
    bank = fit_heads(x, labels, CLASSES, seeds, settings(**changes), Training())
    scores = bank.logits(torch.stack(x)).detach()
    for head, seed in enumerate(seeds):
        layers = trained_plainly(x[head], labels[head], seed, **changes)
        layers[3] = nn.Identity()
        torch.testing.assert_close(scores[head], layers(x[head]).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_no_head_and_is_left_as_it_was(threads):
    x, y = data()
    before = torch.get_num_threads()
    alone = fitted(x, y, [1, 2, 3]).logits(torch.stack(x)).detach()
    try:
        torch.set_num_threads(threads)
        shared = fitted(x, y, [1, 2, 3]).logits(torch.stack(x)).detach()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(shared, alone, rtol=1e-8, atol=1e-8)


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_in(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training die in one of Lightning's steps."""
    original, seen = HeadTraining.training_step, []

    def dies(self, rows, number):
        seen.append(number)
        if len(seen) > step:
            raise KilledError
        original(self, rows, number)

    monkeypatch.setattr(HeadTraining, "training_step", dies)


def test_a_killed_fit_resumes_to_the_same_heads(tmp_path: Path, monkeypatch):
    x, y = data(n=300)
    how = Training(False, tmp_path / "heads.ckpt", 0.0)
    whole = fitted(x, y, [1, 2, 3], epochs=4)
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        killed_in(5, patched)
        fit_heads(x, [y] * HEADS, CLASSES, [1, 2, 3], settings(epochs=4), how)
    assert (tmp_path / "heads.ckpt").exists()
    resumed = fit_heads(x, [y] * HEADS, CLASSES, [1, 2, 3], settings(epochs=4), how)
    for name, weights in whole.named_parameters():
        torch.testing.assert_close(dict(resumed.named_parameters())[name], weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("over_batch", [False, True])
def test_heads_trained_together_are_those_trained_alone(over_batch):
    x, y = data()
    seeds = [11, 12, 13]
    together = fitted(x, y, seeds, over_batch=over_batch).logits(torch.stack(x)).detach()
    for head, seed in enumerate(seeds):
        alone = fitted([x[head]], y, [seed], over_batch=over_batch).logits(x[head][None]).detach()
        torch.testing.assert_close(together[head], alone[0], rtol=1e-8, atol=1e-8)


def test_the_same_seed_gives_the_same_head_and_another_seed_another():
    (x, *_), y = data(1)
    torch.manual_seed(1)
    first = fitted([x, x, x], y, [5, 5, 6]).logits(x.expand(3, -1, -1)).detach()
    torch.manual_seed(2)
    again = fitted([x], y, [5]).logits(x[None]).detach()
    torch.testing.assert_close(first[0], first[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first[0], again[0], rtol=1e-8, atol=1e-8)
    assert float((first[0] - first[2]).abs().max()) > 1e-2


def test_dropout_drops_its_share_in_training_and_nothing_in_prediction():
    x, y = data(2, width=200)
    bank, generators = fresh(x, [0, 1], dropout=0.3)
    draws = torch.stack([torch.rand(x[0].shape, generator=one) for one in generators])
    _, training = head_training(x, [y, y], CLASSES, [0, 1], bank.settings)
    [lane] = training.lanes
    mask = lane.masks(draws)
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.7}
    assert float((mask == 0).double().mean()) == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(mask[0], mask[1])
    assert torch.equal(bank.logits(torch.stack(x)), bank.logits(torch.stack(x)))


def test_fresh_weights_are_drawn_as_torch_draws_them():
    x, _ = data(2, width=100)
    bank, _ = fresh(x, [0, 1])
    for values in (bank.first, bank.first_bias, bank.last, bank.last_bias):
        assert float(values.abs().max()) <= 0.1
    assert float(bank.first.abs().mean()) == pytest.approx(0.05, rel=0.03)
    assert float(bank.first.mean()) == pytest.approx(0.0, abs=0.002)


def test_mlp_paper_reads_a_sample_by_its_batch_and_mlp_does_not():
    x, y = data(1)
    sample, others = x[0][:1], [x[0][1:20], x[0][20:] + 4.0]
    scores = {}
    for over_batch in (False, True):
        bank = fitted(x, y, [0], over_batch=over_batch)
        scores[over_batch] = [bank.logits(torch.cat([sample, rest])[None])[0, 0] for rest in others]
    torch.testing.assert_close(*scores[False], rtol=1e-12, atol=1e-12)
    assert float((scores[True][0] - scores[True][1]).abs().max()) > 0.05


def test_mlp_paper_refuses_a_single_sample_and_mlp_reads_it():
    x, y = data(1)
    with pytest.raises(ValueError, match="cannot read a single sample; use mlp"):
        fitted(x, y, [0], over_batch=True).predict_head(0, x[0][:1])
    assert fitted(x, y, [0]).predict_head(0, x[0][:1]).shape == (1,)


@pytest.mark.parametrize("over_batch", [False, True])
def test_a_last_batch_of_one_sample_does_no_harm(over_batch):
    x, y = data(1, n=33)
    scores = fitted(x, y, [0], over_batch=over_batch).logits(x[0][None])
    assert bool(torch.isfinite(scores).all())


def test_the_norm_over_the_batch_has_nothing_to_learn():
    x, y = data(1)
    trained = {
        over: {n for n, p in fitted(x, y, [0], over_batch=over).named_parameters() if p.requires_grad}
        for over in (False, True)
    }
    assert trained[False] - trained[True] == {"scale2", "shift2"}
    bank = fitted(x, y, [0], over_batch=True)
    assert torch.equal(bank.scale2, torch.ones_like(bank.scale2))
