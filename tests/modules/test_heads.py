"""Banks of heads: each head is the network that it claims to be, and knows nothing of its neighbours."""

import pytest
import torch
from torch import Tensor, nn

from relrep_exp.modules.heads import HeadBank, HeadSettings, fit_heads
from relrep_exp.modules.training import EpochBatches, Training

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
    return fit_heads(x, y, CLASSES, seeds, settings(**changes), Training())


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


@pytest.mark.parametrize("over_batch", [False, True])
def test_training_is_torchs_adam_on_torchs_layers(over_batch):
    """One head without dropout, step by step against nn.Sequential and torch.optim.Adam."""
    x, y = data(1)
    changes = {"over_batch": over_batch, "dropout": 0.0, "lr": 0.02, "weight_decay": 0.01, "epochs": 3}
    layers = network(HeadBank(torch.stack(x), y, CLASSES, [7], settings(**changes)), 0)
    adam = torch.optim.Adam(layers.parameters(), 0.02, weight_decay=0.01)
    batches = EpochBatches(N, 16, [7], torch.device("cpu"))
    for epoch in range(3):
        batches.set_epoch(epoch)
        for rows in batches:
            adam.zero_grad()
            nn.functional.cross_entropy(layers(x[0][rows[0]]), y[rows[0]]).backward()
            adam.step()
    bank = fitted(x, y, [7], **changes)
    torch.testing.assert_close(bank.logits(torch.stack(x))[0], layers.eval()(x[0]), rtol=1e-6, atol=1e-7)


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
    bank = HeadBank(torch.stack(x), y, CLASSES, [0, 1], settings(dropout=0.3))
    mask = bank._dropout_mask(torch.stack(x))
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.7}
    assert float((mask == 0).double().mean()) == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(mask[0], mask[1])
    assert torch.equal(bank.logits(torch.stack(x)), bank.logits(torch.stack(x)))


def test_fresh_weights_are_drawn_as_torch_draws_them():
    x, y = data(2, width=100)
    bank = HeadBank(torch.stack(x), y, CLASSES, [0, 1], settings())
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


def test_a_fitted_bank_does_not_hold_on_to_its_features():
    x, y = data(1)
    assert fitted(x, y, [0]).x.numel() == 0
