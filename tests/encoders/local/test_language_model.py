"""Training of the tiny language models: both losses fall, and fits resume to the same weights."""

import math

import pytest
import torch

from relrep_exp.config.schema import LocalLmConfig
from relrep_exp.data.templates import paraphrase, sentences
from relrep_exp.encoders.local.language_model import (
    LOSSES,
    LanguageModelTraining,
    equal_lengths,
    standardised,
    train_language_model,
    untrained,
)
from relrep_exp.encoders.local.tokenizer import train_tokenizer
from relrep_exp.encoders.local.training import bags, rarity
from relrep_exp.encoders.text_model import Tokens
from relrep_exp.training.device import Training

ARCHITECTURES = ("gpt2", "llama", "gemma3")
SENTENCES = sentences(48, seed=1)
TEXTS = [str(sentence) for sentence in SENTENCES]
PARAPHRASES = [str(paraphrase(sentence)) for sentence in SENTENCES]
TOKENIZER = train_tokenizer(TEXTS, 700, "bpe")
TOKENS = Tokens(TOKENIZER, 64, len(TOKENIZER), positions=False)


def config(architecture="llama", **changes):
    shape = {"dim": 16, "depth": 1, "heads": 2, "seed": 3, "epochs": 3, "batch": 16}
    return LocalLmConfig(**{"architecture": architecture, **shape, **changes})


def fitted(training=None, **changes):
    """Weights and curves after a fit."""
    chosen = config(**changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = untrained(chosen, TOKENIZER)
        curves = train_language_model(model, TOKENS, TEXTS, PARAPHRASES, chosen, training or Training())
    return model.state_dict(), curves


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_few_epochs_lower_both_losses(architecture):
    _, curves = fitted(architecture=architecture, epochs=5, lr=2e-2)
    assert list(curves) == list(LOSSES)
    for name, values in curves.items():
        assert len(values) == 5
        assert values[-1] < 0.9 * values[0], name


@pytest.mark.parametrize("learned, weights", [(0, (1.0, 0.0)), (1, (0.0, 1.0))])
def test_weights_choose_what_is_learned(learned, weights):
    _, curves = fitted(epochs=5, lr=2e-2, next_token=weights[0], bag=weights[1])
    fallen = [curves[name][-1] / curves[name][0] for name in LOSSES]
    assert fallen[learned] < 0.9 * fallen[1 - learned]


def test_each_text_is_in_one_group_of_its_length():
    lengths = torch.tensor([5, 3, 5, 5, 3, 9, 5])
    groups = equal_lengths(lengths, 3)
    assert sorted(torch.cat(groups).tolist()) == list(range(7))
    assert all(len(group) <= 3 and len(lengths[group].unique()) == 1 for group in groups)


def test_the_reader_of_bags_sees_neither_mean_nor_scale():
    states = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    loud = 30.0 + states * torch.tensor([0.5, 1.0, 2.0, 4.0, 8.0])
    torch.testing.assert_close(standardised(loud), standardised(states), rtol=0, atol=1e-3)
    assert standardised(loud).square().mean(0).tolist() == pytest.approx([1.0] * 5, abs=1e-3)
    assert standardised(loud[:1]).tolist() == [[0.0] * 5]


def test_the_next_token_after_the_last_is_the_end():
    chosen = config()
    model = untrained(chosen, TOKENIZER)
    tokens = TOKENS.batch(TEXTS[:1])["input_ids"]
    module = LanguageModelTraining(model, [], [], torch.zeros(len(TOKENIZER)), chosen, Training(), 1)
    with torch.inference_mode():
        found, _ = module.objective(tokens, torch.zeros(1, len(TOKENIZER)))
        logits = model(input_ids=tokens).logits[0].log_softmax(-1)
    following = [*tokens[0, 1:].tolist(), TOKENIZER.eos_token_id]
    expected = -sum(float(row[token]) for row, token in zip(logits, following, strict=True)) / len(following)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_rarity_counts_texts_and_leaves_out_padding():
    tokens = torch.tensor([[1, 2, 2, 0], [1, 3, 0, 0], [1, 3, 2, 2], [1, 4, 0, 0]])
    weights = rarity(tokens, 6, special=[0])
    expected = [0.0, 0.0, math.log(2), math.log(2), math.log(4), 0.0]
    assert weights.tolist() == pytest.approx(expected)


def test_a_bag_has_each_token_once_and_sums_to_one():
    weights = torch.tensor([0.0, 0.0, 1.0, 3.0])
    made = bags(torch.tensor([[1, 2, 2, 3], [1, 1, 0, 0]]), weights)
    assert made.tolist() == [[0.0, 0.0, 0.25, 0.75], [0.0] * 4]


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_killed_fit_resumes_to_the_same_weights_and_curves(tmp_path):
    def killed(epoch, means):
        if epoch == 1:
            raise KilledError

    expected, curves = fitted(epochs=3)
    file = tmp_path / "fit.ckpt"
    with pytest.raises(KilledError):
        fitted(Training(False, file, 0.0, killed), epochs=3)
    assert file.exists()
    told = []
    found, again = fitted(Training(False, file, 0.0, lambda epoch, means: told.append(epoch)), epochs=3)
    assert told == [1, 2] and again == curves and not file.exists()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)
