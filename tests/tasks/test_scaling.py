"""How a decoder's features are scaled: by literal statistics of its training features, whatever it reads."""

import dataclasses

import numpy as np
import pytest
import torch
from works import decoders_of

from relrep_exp.config.schema import HeadConfig, LinearConfig, SvmConfig
from relrep_exp.tasks.decoders.classifiers import Job, Scaling

NAMES = ("std", "none", "per_feature")
DECODERS = [HeadConfig(name="mlp", epochs=2), LinearConfig(name="linear"), SvmConfig(name="svm")]


def features(seed=0, n=240):
    """Three classes in five features of very different size and mean, float32."""
    g = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
    y = torch.arange(n) % 3
    x = centres[y] + torch.randn(n, 5, generator=g)
    return x * torch.tensor([0.05, 0.5, 1.0, 3.0, 20.0]) + torch.tensor([0.0, 1.0, -5.0, 2.0, 40.0]), y


def literal(name, train, x):
    """The definitions, one loop for each sum, float64."""
    train, x = train.double().numpy(), x.double().numpy()
    entries = [value for row in train for value in row]
    if name == "std":
        mean = sum(entries) / len(entries)
        return x / (sum((value - mean) ** 2 for value in entries) / (len(entries) - 1)) ** 0.5
    if name == "per_feature":
        means = [sum(column) / len(column) for column in train.T]
        squares = [sum((v - mean) ** 2 for v in column) for column, mean in zip(train.T, means, strict=True)]
        return (x - np.array(means)) / np.sqrt(np.array(squares) / len(train))
    return x


@pytest.mark.parametrize("name", NAMES)
def test_scaled_features_are_those_of_the_definition(name):
    (train, _), (new, _) = features(), features(seed=1)
    scaled = Scaling.fit(name, train)(new)
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled, literal(name, train, new), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_a_constant_feature_is_not_blown_up(name, value):
    x, _ = features()
    x[:, 2] = value
    scaling = Scaling.fit(name, x)
    moved = x.clone()
    moved[:, 2] += 1
    assert float((scaling(moved) - scaling(x))[:, 2].abs().max()) <= 1.0 + 1e-6
    everything = Scaling.fit(name, torch.full((7, 3), value))
    assert torch.isfinite(everything(torch.randn(5, 3))).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: d.name)
def test_a_decoder_with_a_scaling_is_one_of_features_that_were_scaled_before(decoder, name):
    """So that the key does what it says and no second scaler hides behind it."""
    (x, y), (new, _) = features(), features(seed=1)

    def predicted(scaling, train, read):
        config = dataclasses.replace(decoder, scaling=scaling)
        (fitted,) = decoders_of(config, [Job("a", train, y)])
        return fitted.predict(read)

    scaled = [torch.from_numpy(literal(name, x, part)).float() for part in (x, new)]
    found, expected = predicted(name, x, new), predicted("none", *scaled)
    assert len(found.unique()) > 1
    assert float((found == expected).double().mean()) > 0.99


def test_what_scaling_means_to_a_penalised_classifier():
    """Features in small units count for nothing behind an L2 penalty unless each is scaled."""
    y = torch.arange(300) % 3
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)) * 5
    x[:, :3] = 1e-3 * torch.eye(3)[y]
    accuracy = {}
    for name in NAMES:
        config = LinearConfig(name="linear", scaling=name)
        (decoder,) = decoders_of(config, [Job("a", x, y)])
        accuracy[name] = float((decoder.predict(x) == y).double().mean())
    assert accuracy["per_feature"] == 1.0 and max(accuracy["std"], accuracy["none"]) < 0.6
