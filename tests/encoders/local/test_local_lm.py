"""Tiny language models: trained once on sentences of their own, never on the data's, then read back."""

from dataclasses import replace

import pytest
import torch
from making import HOW, encode, sources

from relrep_exp.config.schema import DigitsData, LocalLmConfig, LocalLmZoo, TemplatesData
from relrep_exp.data import templates
from relrep_exp.data.templates import SLOTS
from relrep_exp.encoders.local import language_model
from relrep_exp.errors import UserError
from relrep_exp.store.tensors import TensorStore

DATA = TemplatesData(kind="templates", name="templates", train=40, test=12)
ARCHITECTURES = {"gpt2": {"vocabulary": 600}, "llama": {"vocabulary": 500}, "gemma3": {"vocabulary": 700}}


def config(architecture, **changes):
    shape = {"dim": 16, "depth": 2, "heads": 2, "seed": 5, "sentences": 48, "epochs": 1, "batch": 16}
    return LocalLmConfig(**{"architecture": architecture, **shape, **ARCHITECTURES[architecture], **changes})


def models(outputs, data=DATA, **changes):
    encoders = {name: config(name, **changes) for name in ARCHITECTURES}
    return sources(LocalLmZoo("local_lm", "tiny", encoders), data, outputs)


@pytest.fixture(scope="module")
def texts():
    return [str(text) for text in templates.load(DATA, ["en"], offline=True).views["en"].samples]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An outputs folder with all models in it, and their encoders."""
    outputs = tmp_path_factory.mktemp("lm")
    return outputs, {name: source.load(HOW) for name, source in models(outputs).items()}


def test_a_model_is_trained_once_and_then_read(monkeypatch, trained, texts):
    outputs, encoders = trained
    monkeypatch.setattr(language_model, "train_language_model", None)  # calling it would fail
    for name, source in models(outputs).items():
        first, second = encode(encoders[name], texts[:5]), encode(source.load(HOW), texts[:5])
        assert torch.equal(first, second)
        assert first.shape == (5, 16) and first.dtype == torch.float32
    store = TensorStore(outputs / "checkpoints")
    described = [store.find(path.parent.name).describe for path in store.root.glob("*/manifest.json")]
    assert len({one["tokenizer"] for one in described}) == 3
    assert all(set(one["curves"]) == {"next_token", "bag"} for one in described)


def test_training_again_gives_the_same_model_and_leaves_the_global_generator_alone(trained, tmp_path, texts):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = models(tmp_path)["llama"].load(HOW)
    assert torch.equal(torch.get_rng_state(), before)
    expected = encode(trained[1]["llama"], texts[:5])
    torch.testing.assert_close(encode(again, texts[:5]), expected, rtol=0, atol=1e-6)


def test_nothing_that_the_data_say_is_trained_on(monkeypatch, tmp_path):
    seen = {}

    def spy(model, tokens, texts, paraphrases, *more):
        seen["texts"] = [*texts, *paraphrases]
        return {}

    monkeypatch.setattr(language_model, "train_language_model", spy)
    # Enough sentences of the data's own seed: without the exclusion all of the data would be among them.
    source = models(tmp_path, seed=DATA.seed, sentences=300)["gpt2"]
    source.load(HOW)
    data = {sentence.fillers for split in templates.split(DATA) for sentence in split}
    said = {sentence.fillers for sentence in source.sentences()}
    assert len(data) == 52 and len(said) == 300 and not data & said
    ways = source.sentences()
    assert seen["texts"] == [*map(str, ways), *(str(templates.paraphrase(way)) for way in ways)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_embedding_is_the_last_tokens_state_alone_and_every_slot_moves_it(trained, texts, name):
    encoder = trained[1][name]
    found = encode(encoder, texts[:6])  # of several lengths, so padded
    for text, embedding in zip(texts[:6], found, strict=True):
        ids = encoder.prepare([text])["input_ids"]
        with torch.inference_mode():
            state = encoder.model(input_ids=ids).last_hidden_state[0, -1]
        torch.testing.assert_close(embedding, state, rtol=0, atol=1e-4)
    sentence = templates.sentences(1, seed=8)[0]
    others = []
    for slot, rows in enumerate(SLOTS.values()):
        fillers = list(sentence.fillers)
        fillers[slot] = (fillers[slot] + 1) % len(rows)
        others.append(replace(sentence, fillers=tuple(fillers)))
    base, *moved = encode(encoder, [str(one) for one in (sentence, *others)])
    assert min(float((one - base).norm()) for one in moved) > 1e-3


def test_an_inner_layer_is_another_encoder(tmp_path, texts):
    inner = models(tmp_path, layer=1)["gpt2"].load(HOW)
    ids = inner.prepare(texts[:1])["input_ids"]
    with torch.inference_mode():
        states = inner.model(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(encode(inner, texts[:1])[0], states[1][0, -1], rtol=0, atol=1e-4)


def test_identity_tells_training_and_data(tmp_path):
    def identity(data=DATA, **changes):
        return models(tmp_path, data, **changes)["gemma3"].identity()

    before = identity()
    assert before == models(tmp_path / "elsewhere")["gemma3"].identity()
    assert before == identity(replace(DATA, param_batch=8))
    changes = {"seed": 6, "epochs": 2, "lr": 0.1, "bag": 0.5, "initial_std": 0.1, "sentences": 49}
    others = [identity(**{key: value}) for key, value in changes.items()]
    others.append(identity(replace(DATA, seed=1)))
    assert all(other != before for other in others)
    assert models(tmp_path)["gemma3"].view == "en"


@pytest.mark.parametrize(
    ("architecture", "changes", "fault"),
    [
        ("gpt2", {"dim": 17}, "multiple of its heads"),
        ("llama", {"dim": 18, "heads": 6}, "must be even"),
        ("gemma3", {"layer": 3}, "layer must be within -3 .. 2"),
    ],
)
def test_shapes_that_cannot_be_are_refused(architecture, changes, fault):
    with pytest.raises(ValueError, match=fault):
        config(architecture, **changes)


def test_other_data_are_refused(tmp_path):
    with pytest.raises(UserError, match="data=digits does not go with this zoo"):
        models(tmp_path, DigitsData("digits"))
