"""LSA: the textbook formula, fitted on the training texts of its own language, each text for itself."""

import math
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from making import HOW, TEXTS_CHANGED, Changed, encode, one_text_changed, sources, told

from relrep_exp.config.schema import DigitsData, LsaEncoderConfig, LsaZoo, ReviewsData
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.sources import Dataset

DATA = ReviewsData("reviews", "template_reviews", train=120, test=40)
TEXTS = ["red green blue", "green blue", "red red red sky", "the sky is blue", "a blue sea and a green sea"]


def config(language="en", **changes):
    return LsaEncoderConfig(**{"language": language, "dim": 16, "analyzer": "char_wb", **changes})


def lsa(data=DATA, **encoders):
    both = {"en": config(), "zh": config("zh", analyzer="char", ngrams=(1, 3))}
    return sources(LsaZoo("lsa", "lsa", encoders or both), data)


def fitted():
    """An encoder of English fitted on `TEXTS`."""
    data = Changed(DATA, Samples({"en": View(TEXTS, torch.ones(len(TEXTS)).bool())}, parallel=True))
    return lsa(data, en=config(dim=3, analyzer="word", ngrams=(1, 1)))["en"].load(HOW)


@pytest.fixture(scope="module")
def reviews():
    return Dataset(DATA, True).load(["en", "zh"])


def literal(training, texts, d):
    """(1 + ln tf) * (ln((1 + N) / (1 + df)) + 1), rows of length 1, times V_d of the training rows."""
    words = sorted({word for text in training for word in text.split() if len(word) > 1})
    df = {word: sum(word in text.split() for text in training) for word in words}

    def row(text):
        counts = Counter(text.split())
        raw = [
            (1 + math.log(counts[word])) * (math.log((1 + len(training)) / (1 + df[word])) + 1)
            if counts[word]
            else 0.0
            for word in words
        ]
        return np.array(raw) / max(np.linalg.norm(raw), 1e-12)

    v = np.linalg.svd(np.stack([row(text) for text in training]))[2][:d].T
    return np.stack([row(text) for text in texts]) @ v


def test_embeddings_are_the_textbook_formula():
    texts = [*TEXTS, "blue blue blue sky", "sea of red", "nothing known"]
    found, expected = encode(fitted(), texts).double().numpy(), literal(TEXTS, texts, 3)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-6)
    assert found.dtype == np.float64 and encode(fitted(), texts).dtype == torch.float32


def test_a_text_without_known_ngrams_is_zero_even_alone():
    for texts in ([""], ["", "unheard"], ["", "red"]):
        assert not encode(fitted(), texts)[0].any()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_embedding_does_not_depend_on_its_batch(reviews, language):
    encoder = lsa()[language].load(HOW)
    texts = [*reviews.views[language].samples[:20], "", "x" * 500]
    together = encode(encoder, texts)
    alone = torch.cat([encode(encoder, [text]) for text in texts])
    backwards = encode(encoder, texts[::-1]).flip(0)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    torch.testing.assert_close(backwards, together, rtol=0, atol=1e-6)
    assert together.shape == (22, encoder.dim)
    assert len(encoder.sizes(texts)) == 22


@pytest.mark.parametrize(("language", "train", "differs"), TEXTS_CHANGED)
def test_only_training_texts_of_its_own_language_are_fitted_on(reviews, language, train, differs):
    before = lsa()["en"].load(HOW)
    data = Changed(DATA, one_text_changed(reviews, language, train))
    after = lsa(data)["en"].load(HOW)
    texts = reviews.views["en"].samples[20:60]
    assert torch.equal(encode(before, texts), encode(after, texts)) != differs
    assert data.asked == [("en", "zh")]  # all languages together


def test_a_source_pickles_without_its_texts_and_fitting_again_is_the_same():
    source = lsa()["en"]
    small = len(pickle.dumps(source))
    encoder = source.load(HOW)
    assert len(pickle.dumps(source)) <= small + 1000
    again = pickle.loads(pickle.dumps(source))
    assert again.identity() == source.identity()
    assert torch.equal(encode(again.load(HOW), ["This kettle"]), encode(encoder, ["This kettle"]))


def test_identity_tells_settings_and_training_texts():
    def identity(data=DATA, **changes):
        return lsa(data, en=config(**changes))["en"].identity()

    before = identity()
    assert before == identity()
    others = [identity(dim=17), identity(seed=1), identity(ngrams=(2, 3)), identity(max_features=9)]
    others.append(identity(ReviewsData("reviews", "template_reviews", train=120, test=40, seed=1)))
    assert all(other != before for other in others)
    assert lsa()["zh"].view == "zh"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dim": 120}, ["zoo.encoders.en.dim=120", "120 training texts", "below 120"]),
        ({"dim": 5000}, ["zoo.encoders.en.dim=5000", "below 120"]),
        ({"dim": 20, "max_features": 20}, ["20 n-grams", "below 20"]),
        ({"analyzer": "word", "ngrams": (99, 99)}, ["hold no n-gram"]),
    ],
)
def test_too_many_dimensions_are_told(changes, words):
    [problem] = told(lsa(en=config(**changes))["en"].load, HOW)
    assert all(word in str(problem) for word in words), problem


def test_what_cannot_be_is_told():
    [problem] = told(lsa, DigitsData("digits"))
    assert "data=digits has no texts" in problem.what
    with pytest.raises(ValueError, match="shortest, longest"):
        config(ngrams=(4, 2))
