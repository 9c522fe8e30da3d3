"""The template sentences: a grammar's golden lines, nothing said twice, and paraphrases that say the same."""

from __future__ import annotations

import re

import pytest

from relrep_exp.config.schema import TemplatesData
from relrep_exp.data import templates
from relrep_exp.data.templates import CONTENTS, PATTERNS, SLOTS, Sentence, fillers
from relrep_exp.errors import UserError

DATA = TemplatesData(kind="templates", name="templates")
GOLDEN = [
    "At the market, a lawyer lost a shiny gift this morning in secret.",
    "An inexpensive crate was outlined by a physician at the port at the weekend all alone.",
    "An old rug was damaged by a doctor in the shop at dusk without help.",
]


@pytest.fixture(scope="module")
def view():
    return templates.load(DATA, ["en"], offline=True).views["en"]


def said(text: str, wording: int) -> tuple[int, ...]:
    """The fillers that a text names, read off its words: exactly one per slot."""
    found = []
    for rows in SLOTS.values():
        named = [
            n for n, words in enumerate(rows) if re.search(rf"\b{words[wording]}\b", text, re.IGNORECASE)
        ]
        assert len(named) == 1, (text, named)
        found += named
    return tuple(found)


def test_3300_distinct_sentences_of_which_the_last_300_are_tested_on(view):
    assert list(view.samples[:3]) == GOLDEN
    assert len(view.samples) == len(set(view.samples)) == 3300
    assert view.is_train.tolist() == [True] * 3000 + [False] * 300
    assert view.labels is None


def test_a_seed_draws_distinct_contents_again_and_more_begin_with_fewer():
    drawn = templates.sentences(20000, seed=5)
    assert len({sentence.fillers for sentence in drawn}) == 20000
    assert templates.sentences(50, 5) == drawn[:50]
    assert not set(drawn[:50]) & set(templates.sentences(50, 6))


def test_excluded_content_never_comes_back_in_any_words():
    first = templates.sentences(100, 5)
    others = templates.sentences(100, 5, exclude=map(templates.paraphrase, first[:60]))
    assert len(others) == 100
    assert {s.fillers for s in others} & {s.fillers for s in first} == {s.fillers for s in first[60:]}
    with pytest.raises(ValueError, match="can say"):
        templates.sentences(CONTENTS, 0, exclude=first[:1])


def test_every_pattern_and_wording_names_every_filler_once_and_a_paraphrase_says_the_same():
    for number, sentence in enumerate(templates.sentences(12 * len(PATTERNS), seed=9)):
        one = Sentence(sentence.fillers, number % len(PATTERNS), number // len(PATTERNS) % 2)
        other = templates.paraphrase(one)
        assert other.pattern != one.pattern and other.wording != one.wording
        assert said(str(one), one.wording) == said(str(other), other.wording) == sentence.fillers


def test_numbers_and_contents_are_the_same_thing():
    some = range(0, CONTENTS, CONTENTS // 1000)
    assert len({fillers(number) for number in some}) == len(some)
    assert fillers(0) == (0,) * len(SLOTS)
    assert fillers(CONTENTS - 1) == tuple(len(rows) - 1 for rows in SLOTS.values())


def test_wordings_are_distinct_within_their_slot():
    for slot, rows in SLOTS.items():
        words = [word for row in rows for word in row]
        assert len(set(words)) == 2 * len(rows), slot


def test_sentences_are_english_on_the_surface(view):
    for text in view.samples:
        assert re.fullmatch(r"[A-Z][A-Za-z ,]+\.", text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  ", text, re.IGNORECASE), text


def test_identity_tells_sentences_and_split_apart():
    def of(**changed):
        config = TemplatesData(kind="templates", name="templates", **changed)
        return templates.identity(config, ["en"], offline=True)["en"]

    assert of() == of(param_batch=512)
    changes = [{}, {"seed": 1}, {"test": 200}, {"train": 2900, "test": 400}]
    assert len({str(of(**change)) for change in changes}) == 4


def test_other_languages_are_refused():
    with pytest.raises(UserError, match="'de'"):
        templates.load(DATA, ["en", "de"], offline=True)
