"""Tiny BERTs: trained once on their own language's training texts, then read from their checkpoint."""

import pytest
import torch
from making import HOW, TEXTS_CHANGED, Changed, encode, one_text_changed, sources

from relrep_exp.config.schema import DigitsData, LocalBertConfig, LocalBertZoo, ReviewsData
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.local import masked_language
from relrep_exp.errors import UserError
from relrep_exp.store.tensors import TensorStore
from relrep_exp.training.device import Training

DATA = ReviewsData("reviews", "template_reviews", train=48, test=16)
LANGUAGES = ("en", "zh")


def config(language, **changes):
    shape = {"dim": 24, "depth": 1, "heads": 2, "seed": 5, "epochs": 1, "batch": 16}
    return LocalBertConfig(**{"language": language, **shape, **changes})


def berts(outputs, data=DATA, **changes):
    encoders = {language: config(language, **changes) for language in LANGUAGES}
    return sources(LocalBertZoo("local_bert", "tiny", encoders), data, outputs)


@pytest.fixture(scope="module")
def reviews():
    return Dataset(DATA, True).load(LANGUAGES)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("bert")


@pytest.fixture(scope="module")
def trained(outputs):
    """Both encoders, whose checkpoints are in an outputs folder."""
    return {name: source.load(HOW) for name, source in berts(outputs).items()}


def test_an_encoder_is_trained_once_and_then_read(monkeypatch, outputs, trained, reviews):
    monkeypatch.setattr(masked_language, "train_bert", None)  # calling it would fail
    for language, source in berts(outputs).items():
        texts = reviews.views[language].samples[:5]
        first, second = encode(trained[language], texts), encode(source.load(HOW), texts)
        assert torch.equal(first, second)
        assert first.shape == (5, 24) and first.dtype == torch.float32
    kept = {path.name for path in (outputs / "checkpoints").iterdir()}
    assert kept == {
        ".locks",
        *(path.parent.name for path in (outputs / "checkpoints").glob("*/manifest.json")),
    }


def test_training_again_gives_the_same_encoder_and_leaves_the_global_generator_alone(
    trained, tmp_path, reviews
):
    torch.manual_seed(99)
    before, texts = torch.get_rng_state(), reviews.views["en"].samples[:5]
    again = berts(tmp_path)["en"].load(HOW)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(encode(again, texts), encode(trained["en"], texts), rtol=0, atol=1e-6)


def test_vocabularies_are_of_one_language_each(outputs, trained):
    store = TensorStore(outputs / "checkpoints")
    texts = {}
    for key in (path.parent.name for path in store.root.glob("*/manifest.json")):
        describe = store.find(key).describe
        texts[describe["encoder"]["language"]] = describe["tokenizer"]
        assert set(describe["curves"]) == {"masked", "bag", "classify"}
    assert '"kettle"' in texts["en"] and "壶" not in texts["en"]
    assert "壶" in texts["zh"] and '"kettle"' not in texts["zh"]


@pytest.mark.parametrize(("language", "train", "differs"), TEXTS_CHANGED)
def test_only_training_texts_of_its_own_language_are_seen(
    tmp_path, trained, reviews, language, train, differs
):
    texts = reviews.views["en"].samples[:8]
    data = Changed(DATA, one_text_changed(reviews, language, train))
    after = encode(berts(tmp_path, data)["en"].load(HOW), texts)
    assert torch.allclose(encode(trained["en"], texts), after, rtol=0, atol=1e-6) != differs


def test_mean_pooling_is_another_encoder(tmp_path, trained, reviews):
    encoder, texts = berts(tmp_path, pooling="mean")["en"].load(HOW), reviews.views["en"].samples[:3]
    assert encoder.pooling == "mean"
    assert not torch.allclose(encode(encoder, texts), encode(trained["en"], texts), atol=1e-3)


def test_identity_tells_training_and_texts(tmp_path):
    def identity(data=DATA, **changes):
        return berts(tmp_path, data, **changes)["en"].identity()

    before = identity()
    assert before == identity() == berts(tmp_path / "elsewhere")["en"].identity()
    changes = {"seed": 6, "epochs": 2, "lr": 0.1, "bag": 0.5, "pooling": "mean"}
    others = [identity(**{key: value}) for key, value in changes.items()]
    others.append(identity(ReviewsData("reviews", "template_reviews", train=48, test=16, seed=1)))
    assert all(other != before for other in others)
    assert berts(tmp_path)["en"].view == "en"


def test_a_killed_training_resumes_from_where_it_was(tmp_path, reviews):
    class KilledError(Exception):
        pass

    told = []

    def killed(epoch, means):
        told.append(epoch)
        if told == [0, 1]:
            raise KilledError

    texts = reviews.views["en"].samples[:5]
    expected = encode(berts(tmp_path / "whole", epochs=3)["en"].load(HOW), texts)
    training = Training(checkpoint_seconds=0.0, on_epoch=killed)
    with pytest.raises(KilledError):
        berts(tmp_path, epochs=3)["en"].load(training)
    found = encode(berts(tmp_path, epochs=3)["en"].load(training), texts)
    assert told == [0, 1, 1, 2]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_what_cannot_be_is_told(tmp_path):
    with pytest.raises(UserError, match="data=digits has no texts"):
        berts(tmp_path, DigitsData("digits"))
    with pytest.raises(ValueError, match="multiple of its heads"):
        config("en", dim=25)
