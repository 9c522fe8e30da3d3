"""Training of the tiny BERTs: what is masked, what the bag is, and fits that resume to the same weights."""

import math

import pytest
import torch
from transformers import BertConfig, BertModel

from relrep_exp.config.schema import LocalBertConfig
from relrep_exp.encoders.local.masked_language import LOSSES, MaskedLanguageTraining, train_bert
from relrep_exp.encoders.local.tokenizer import train_tokenizer
from relrep_exp.encoders.local.training import bags
from relrep_exp.encoders.text_model import pooled
from relrep_exp.errors import UserError
from relrep_exp.training.device import Training

TEXTS = [
    f"the {colour} {thing} is {verdict}"
    for colour in ("red", "green", "blue", "black")
    for thing in ("car", "cup", "hat", "pen")
    for verdict in ("good", "bad")
]
LABELS = torch.tensor([int(text.endswith("good")) for text in TEXTS])
TOKENIZER = train_tokenizer(TEXTS, 100, "wordpiece")
TOKENS = torch.tensor([TOKENIZER(text, padding="max_length", max_length=9).input_ids for text in TEXTS])


def config(**changes):
    return LocalBertConfig(
        **{"language": "en", "dim": 16, "depth": 1, "heads": 2, "seed": 3, "epochs": 3, "batch": 8, **changes}
    )


def model():
    shape = BertConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BertModel(shape, add_pooling_layer=False)


def module(labels=LABELS, **changes):
    return MaskedLanguageTraining(model(), TOKENIZER, TOKENS, labels, config(**changes), Training(), 12)


def fitted(training=None, labels=LABELS, **changes):
    """Weights and curves after a fit."""
    net = model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # the readers' weights
        curves = train_bert(net, TOKENIZER, TOKENS, labels, config(**changes), training or Training())
    return net.state_dict(), curves


def test_a_few_epochs_lower_every_loss():
    _, curves = fitted(epochs=8, lr=1e-2)
    assert list(curves) == list(LOSSES)
    for name, values in curves.items():
        assert len(values) == 8
        assert values[-1] < 0.8 * values[0], name


def test_special_tokens_are_never_masked_and_others_are_at_times():
    made = module()
    g = torch.Generator().manual_seed(0)
    hidden = torch.stack([made._hidden(TOKENS, g) for _ in range(200)]).float().mean(0)
    special = TOKENS < 5
    assert not hidden[special].any()
    assert hidden[~special].mean() == pytest.approx(0.15, abs=0.01)


def test_the_bag_weighs_words_by_rarity_and_leaves_out_what_every_text_has():
    made = module()
    [bag] = bags(TOKENS[:1], made.rarity)  # the red car is good
    weights = {"red": math.log(4), "car": math.log(4), "good": math.log(2)}
    total = sum(weights.values())
    found = {TOKENIZER.convert_ids_to_tokens(int(n)): float(bag[n]) for n in bag.nonzero()[:, 0]}
    assert found == pytest.approx({word: weight / total for word, weight in weights.items()}, abs=1e-5)
    common = torch.tensor([[2, *TOKENIZER("the is").input_ids[1:]]])  # in every text
    assert not bags(common, made.rarity).any()


def test_padding_changes_no_loss():
    made = module()
    wide = torch.nn.functional.pad(TOKENS, (0, 4))
    narrow = made._trimmed(torch.arange(4))
    made.tokens = wide
    assert torch.equal(made._trimmed(torch.arange(4)), narrow)
    assert narrow.shape[1] == 7


def test_texts_without_a_maskable_token_have_finite_losses():
    made = module()
    made.tokens = torch.tensor([[2, 3, 0], [2, 3, 0]])
    losses = made.objective(torch.tensor([0, 1]), torch.Generator())
    assert all(torch.isfinite(loss) for loss in losses)


def test_weights_choose_what_is_learned():
    only = fitted(epochs=8, lr=1e-2, masked=0.0, bag=0.0, classify=1.0)[1]
    assert only["classify"][-1] < 0.3 < 0.5 < min(only["masked"])


def test_unlabelled_texts_do():
    _, curves = fitted(labels=None)
    assert max(curves["classify"]) == 0.0
    assert curves["bag"][-1] < curves["bag"][0]


@pytest.mark.parametrize("pooling, expected", [("cls", [1.0, 2.0]), ("mean", [2.0, 3.0])])
def test_pooling_is_over_real_tokens(pooling, expected):
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]])
    real = torch.tensor([[1, 1, 0]])
    assert pooled(states, real, pooling).tolist() == [expected]


def test_nothing_is_drawn_from_the_global_generator():
    net = module()
    before = torch.get_rng_state()
    net.objective(torch.arange(8), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_diverged_fit_is_told():
    with pytest.raises(UserError, match="the en BERT diverged in epoch 0"):
        fitted(lr=1e30, weight_decay=0.0, epochs=1)
