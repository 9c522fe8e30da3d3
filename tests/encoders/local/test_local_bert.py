"""Tiny BERTs: trained once on their own language's training texts, then read from their checkpoint."""

import pickle

import pytest
import torch
from making import HOW, asked, dataset

from relrep_exp.config.schema import DigitsData, LocalBertConfig, LocalBertZoo, ReviewsData
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.local import local_bert, masked_language
from relrep_exp.errors import UserError
from relrep_exp.store.tensors import TensorStore
from relrep_exp.training.device import Training

DATA = ReviewsData("reviews", "template_reviews", train=120, test=40)
LANGUAGES = ("en", "zh")


def config(language, **changes):
    shape = {"dim": 24, "depth": 1, "heads": 2, "seed": 5, "epochs": 1, "batch": 16}
    return LocalBertConfig(**{"language": language, **shape, **changes})


def sources(outputs, data=DATA, **changes):
    encoders = {language: config(language, **changes) for language in LANGUAGES}
    zoo = LocalBertZoo("local_bert", "tiny", encoders)
    data = data if isinstance(data, Dataset) else dataset(data)
    return local_bert.sources(zoo, data, asked(outputs))


def encode(encoder, texts):
    with torch.inference_mode():
        return encoder(encoder.prepare(texts))


@pytest.fixture(scope="module")
def reviews():
    return dataset(DATA).load(LANGUAGES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An outputs folder with both encoders in it, and their sources."""
    outputs = tmp_path_factory.mktemp("bert")
    found = sources(outputs)
    for source in found.values():
        source.load(HOW)
    return outputs, found


def test_an_encoder_is_trained_once_and_then_read(monkeypatch, trained, reviews):
    outputs, found = trained
    monkeypatch.setattr(masked_language, "train_bert", None)  # calling it would fail
    again = sources(outputs)
    for language in LANGUAGES:
        texts = reviews.views[language].samples[:5]
        first, second = encode(found[language].load(HOW), texts), encode(again[language].load(HOW), texts)
        assert torch.equal(first, second)
        assert first.shape == (5, 24) and first.dtype == torch.float32
    kept = {path.name for path in (outputs / "checkpoints").iterdir()}
    assert kept == {".locks", *TensorStore(outputs / "checkpoints").keys()}


def test_training_again_gives_the_same_encoder(trained, tmp_path, reviews):
    _, found = trained
    torch.manual_seed(99)
    texts = reviews.views["en"].samples[:5]
    again = sources(tmp_path)["en"].load(HOW)
    torch.testing.assert_close(encode(again, texts), encode(found["en"].load(HOW), texts), rtol=0, atol=1e-6)


def test_loading_leaves_the_global_generator_alone_where_it_trains(tmp_path):
    before = torch.get_rng_state()
    sources(tmp_path)["en"].load(HOW)
    assert torch.equal(torch.get_rng_state(), before)


def test_vocabularies_are_of_one_language_each(trained):
    outputs, _ = trained
    store = TensorStore(outputs / "checkpoints")
    texts = {}
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        describe = store.find(key).describe
        texts[describe["encoder"]["language"]] = describe["tokenizer"]
        assert set(describe["curves"]) == {"masked", "bag", "classify"}
    assert '"kettle"' in texts["en"] and "壶" not in texts["en"]
    assert "壶" in texts["zh"] and '"kettle"' not in texts["zh"]


def changed(samples, language, train, text):
    """The same samples, but for one text of one language and split."""
    view = samples.views[language]
    row = int((view.is_train == train).nonzero()[0])
    texts = [text if number == row else old for number, old in enumerate(view.samples)]
    return Samples({**samples.views, language: View(texts, view.is_train, view.labels)}, parallel=True)


@pytest.mark.parametrize(
    "language, train, differs", [("en", False, False), ("zh", True, False), ("en", True, True)]
)
def test_only_training_texts_of_its_own_language_are_seen(
    monkeypatch, tmp_path, trained, reviews, language, train, differs
):
    _, found = trained
    texts = reviews.views["en"].samples[:8]
    before = encode(found["en"].load(HOW), texts)
    other = changed(reviews, language, train, "Something 完全 entirely different")
    data = dataset(DATA)
    monkeypatch.setattr(data, "load", lambda views: other)
    after = encode(sources(tmp_path, data)["en"].load(HOW), texts)
    assert torch.allclose(before, after, rtol=0, atol=1e-6) != differs


def test_an_embedding_does_not_depend_on_its_batch(trained, reviews):
    encoder = trained[1]["en"].load(HOW)
    texts = [*reviews.views["en"].samples[:12], "", "long " * 300]
    alone = torch.cat([encode(encoder, [text]) for text in texts])
    torch.testing.assert_close(encode(encoder, texts), alone, rtol=0, atol=1e-5)


def test_mean_pooling_is_another_encoder(tmp_path, trained, reviews):
    source = sources(tmp_path, pooling="mean")["en"]
    assert source.identity() != trained[1]["en"].identity()
    encoder = source.load(HOW)
    texts = reviews.views["en"].samples[:3]
    assert encoder.pooling == "mean"
    assert not torch.allclose(encode(encoder, texts), encode(trained[1]["en"].load(HOW), texts), atol=1e-3)


def test_identity_tells_training_and_texts(tmp_path):
    def identity(data=DATA, **changes):
        return sources(tmp_path, data, **changes)["en"].identity()

    before = identity()
    assert before == identity() == sources(tmp_path / "elsewhere")["en"].identity()
    others = [
        identity(**{key: value}) for key, value in {"seed": 6, "epochs": 2, "lr": 0.1, "bag": 0.5}.items()
    ]
    others.append(identity(ReviewsData("reviews", "template_reviews", train=120, test=40, seed=1)))
    assert all(other != before for other in others)


def test_a_killed_training_resumes_from_where_it_was(tmp_path, trained, reviews):
    class KilledError(Exception):
        pass

    told = []

    def killed(epoch, means):
        told.append(epoch)
        if told == [0, 1]:
            raise KilledError

    texts = reviews.views["en"].samples[:5]
    expected = encode(sources(tmp_path / "whole", epochs=3)["en"].load(HOW), texts)
    training = Training(checkpoint_seconds=0.0, on_epoch=killed)
    with pytest.raises(KilledError):
        sources(tmp_path, epochs=3)["en"].load(training)
    found = encode(sources(tmp_path, epochs=3)["en"].load(training), texts)
    assert told == [0, 1, 1, 2]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_source_pickles_and_needs_no_training_for_its_identity(tmp_path, trained):
    encoders = {"en": config("en")}
    zoo = LocalBertZoo("local_bert", "t", encoders)
    [source] = local_bert.sources(zoo, dataset(DATA), asked(tmp_path)).values()
    assert source.view == "en"
    assert pickle.loads(pickle.dumps(source)).identity() == source.identity()
    assert source.identity()["encoder"] == trained[1]["en"].identity()["encoder"]


def test_images_are_told(tmp_path):
    with pytest.raises(UserError, match="data=digits has no texts"):
        sources(tmp_path, DigitsData("digits"))


def test_heads_share_the_dimension():
    with pytest.raises(ValueError, match="multiple of its heads"):
        config("en", dim=25)
