"""Made-up reviews: the same ones in five languages, in correct grammar, distinct, balanced, reproducible."""

import re
from collections import Counter

import pytest
import reading as sources
import torch

from relrep_exp.config.schema import ReviewsData
from relrep_exp.data import review_grammar as grammar
from relrep_exp.data import review_words as words
from relrep_exp.data import reviews
from relrep_exp.errors import UserError
from relrep_exp.store.keys import text_digest

LANGUAGES = ("de", "en", "es", "fr", "zh")


def config(**changes):
    return ReviewsData("reviews", "template_reviews", **{"train": 400, "test": 100, **changes})


@pytest.fixture(scope="module")
def loaded():
    return sources.load(config(), LANGUAGES, offline=True)


def row(table, english):
    return next(n for n, found in enumerate(table) if found.words["en"] == english)


def said(kind, **slots):
    numbers = {slot: row(grammar.TABLES[slot.rstrip("2")], english) for slot, english in slots.items()}
    return grammar.Sentence(kind, tuple(sorted(numbers.items())))


GOLDEN = {
    "de": "Der Reißverschluss von diesem Koffer ist inakzeptabel.",
    "en": "The zip of this suitcase is unacceptable.",
    "es": "La cremallera de esta maleta es inaceptable.",
    "fr": "La fermeture éclair de cette valise est inacceptable.",
    "zh": "这个行李箱的拉链让人无法接受。",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_review_of_seed_0(loaded, language):
    assert loaded.views[language].samples[0] == GOLDEN[language]


def test_the_reviews_of_a_seed_never_change(loaded):
    """Golden: raise VERSION with any change of the draw; a change of words changes the digest by itself."""
    assert loaded.views["en"].samples[1:4] == [
        "I have been using this sofa for half a year. The colour is terrible and the design is unacceptable.",
        "I bought this keyboard for my uncle. Full marks from me!",
        "I have been using this kettle for three weeks. The handle is perfect.",
    ]
    texts = [text for language in LANGUAGES for text in loaded.views[language].samples]
    assert text_digest("\n".join(texts)) == "d8063caf2fac1525ff8fc99e24a7da120a3df01000ff6c63c28de278236afa5a"


# One product of each gender, with and without a vowel in French, in every kind of sentence with a noun.
NOUNS = [
    ("backpack", "diesen Rucksack", "this backpack", "esta mochila", "ce sac à dos", "这个背包"),
    ("handbag", "diese Handtasche", "this handbag", "este bolso", "ce sac à main", "这个手提包"),
    ("shirt", "dieses Hemd", "this shirt", "esta camisa", "cette chemise", "这件衬衫"),
    ("camera", "diese Kamera", "this camera", "esta cámara", "cet appareil photo", "这台相机"),
    ("shelf", "dieses Regal", "this shelf", "esta estantería", "cette étagère", "这个书架"),
]


@pytest.mark.parametrize("english, de, en, es, fr, zh", NOUNS)
def test_articles_agree_with_the_product(english, de, en, es, fr, zh):
    sentence = said("use", product=english, duration="a week")
    assert [grammar.render((sentence,), language) for language in LANGUAGES] == [
        f"Ich benutze {de} seit einer Woche.",
        f"I have been using {en} for a week.",
        f"Uso {es} desde hace una semana.",
        f"J'utilise {fr} depuis une semaine.",
        f"{zh}我已经用了一个星期。",
    ]


@pytest.mark.parametrize(
    "english, de, es, fr",
    [
        ("jacket", "Die Jacke ging", "La chaqueta se", "La veste s'est abîmée"),
        ("coat", "Der Mantel ging", "El abrigo se", "Le manteau s'est abîmé"),
        ("speaker", "Der Lautsprecher ging", "El altavoz se", "L'enceinte s'est abîmée"),
        ("vacuum cleaner", "Der Staubsauger ging", "La aspiradora se", "L'aspirateur s'est abîmé"),
    ],
)
def test_subjects_and_participles_agree(english, de, es, fr):
    sentence = said("broken", product=english, duration="two months")
    assert grammar.render((sentence,), "de") == f"{de} nach zwei Monaten kaputt."
    assert grammar.render((sentence,), "es") == f"{es} estropeó después de dos meses."
    assert grammar.render((sentence,), "fr") == f"{fr} au bout de deux mois."


def test_opinions_agree_with_their_own_aspect():
    sentence = said(
        "but", product="kettle", aspect="quality", opinion="is poor", aspect2="size", opinion2="is perfect"
    )
    swapped = said(
        "but",
        product="kettle",
        aspect="design",
        opinion="is perfect",
        aspect2="packaging",
        opinion2="is poor",
    )
    assert grammar.render((sentence,), "es") == "La calidad es mala, pero el tamaño es perfecto."
    assert grammar.render((swapped,), "es") == "El diseño es perfecto, pero el embalaje es malo."
    assert grammar.render((sentence,), "fr") == "La qualité est mauvaise, mais la taille est parfaite."
    assert grammar.render((swapped,), "fr") == "Le design est parfait, mais l'emballage est mauvais."
    assert grammar.render((sentence,), "zh") == "质量很差，但是尺寸完美无缺。"


@pytest.mark.parametrize(
    "english, de, es, fr",
    [
        ("tent", "es", "La", "la"),
        ("suitcase", "ihn", "La", "la"),
        ("drone", "sie", "Lo", "le"),
    ],
)
def test_pronouns_agree_with_the_product(english, de, es, fr):
    sentence = said("verdict", product=english, verdict="I recommend it to everyone.")
    assert grammar.render((sentence,), "de") == f"Ich empfehle {de} jedem."
    assert grammar.render((sentence,), "es") == f"{es} recomiendo a todo el mundo."
    assert grammar.render((sentence,), "fr") == f"Je {fr} recommande à tout le monde."


@pytest.mark.parametrize(
    "english, giver, taker, fr",
    [
        ("brother", "Mein Bruder", "meinen Bruder", "mon frère"),
        ("friend", "Meine Freundin", "meine Freundin", "mon amie"),
    ],
)
def test_possessives_follow_case_and_gender(english, giver, taker, fr):
    present = said("present", product="lamp", recipient=english)
    bought = said("bought", product="lamp", recipient=english)
    assert grammar.render((present,), "de") == f"{giver} hat mir diese Lampe geschenkt."
    assert grammar.render((bought,), "de") == f"Ich habe diese Lampe für {taker} gekauft."
    assert grammar.render((bought,), "fr") == f"J'ai acheté cette lampe pour {fr}."


def test_every_word_renders_in_every_sentence_and_language_with_nothing_left_over():
    slots = {
        "use": ("duration",), "bought": ("recipient",), "present": ("recipient",), "broken": ("duration",),
        "lasting": ("duration",), "about": ("aspect", "opinion"), "verdict": ("verdict",),
        "service and": ("delivery", "seller"), "but": ("aspect", "aspect2", "opinion", "opinion2"),
    }  # fmt: skip
    for kind, names in slots.items():
        tables = {name: grammar.TABLES[name.rstrip("2")] for name in ("product", *names)}
        for number in range(max(map(len, tables.values()))):
            picked = {name: (number + n) % len(t) for n, (name, t) in enumerate(tables.items())}
            for language in LANGUAGES:
                text = grammar.render((grammar.Sentence(kind, tuple(sorted(picked.items()))),), language)
                assert not re.search(r"[\[\]{}/|]|  | $", text), text
                assert text[-1] in ".!。！"
                assert (language == "zh") == bool(re.search("[一-鿿]", text))
                assert language != "zh" or not re.search("[ a-zA-Z]", text), text
                assert language == "zh" or text.lstrip("¡")[0].isupper()


@pytest.mark.parametrize("table", list(grammar.TABLES))
@pytest.mark.parametrize("language", LANGUAGES)
def test_different_rows_are_said_differently(table, language):
    phrases = [found.words[language] for found in grammar.TABLES[table]]
    assert len(set(phrases)) == len(phrases)


def test_the_same_meaning_in_all_languages(loaded):
    """Each language's words for product and aspects are found in the row where the others have theirs."""
    drawn = reviews.draw(config())
    for number, review in enumerate(drawn):
        for sentence in review.sentences:
            for slot, chosen in sentence.slots:
                if slot == "product" and sentence.kind not in ("use", "about"):
                    continue
                for language in ("en", "zh"):
                    phrase = grammar.TABLES[slot.rstrip("2")][chosen].words[language]
                    bare = phrase.split(" ", 1)[-1] if language == "zh" else phrase
                    assert bare.casefold() in loaded.views[language].samples[number].casefold()


def test_all_views_share_labels_and_split(loaded):
    assert loaded.parallel
    first = loaded.views["de"]
    for view in loaded.views.values():
        assert torch.equal(view.labels, first.labels) and torch.equal(view.is_train, first.is_train)
    assert first.is_train.tolist() == [True] * 400 + [False] * 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_distinct_so_training_and_test_are_disjoint(loaded, language):
    texts = loaded.views[language].samples
    assert len(texts) == len(set(texts)) == 500


@pytest.mark.parametrize("labels, classes", [("coarse", 2), ("fine", 5)])
def test_classes_are_balanced_in_training_and_test(labels, classes):
    view = sources.load(config(labels=labels), ["en"], True).views["en"]
    for part in (view.labels[view.is_train], view.labels[~view.is_train]):
        counts = Counter(part.tolist())
        assert sorted(counts) == list(range(classes))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_coarse_labels_are_more_than_three_stars_and_leave_three_out():
    view = sources.load(config(), ["en"], True).views["en"]
    stars = [review.stars for review in reviews.draw(config())]
    assert set(stars) == {1, 2, 4, 5}
    assert view.labels.tolist() == [int(n > 3) for n in stars]
    fine = config(labels="fine")
    assert sources.load(fine, ["en"], True).views["en"].labels.tolist() == [
        review.stars - 1 for review in reviews.draw(fine)
    ]


def opinion_levels(drawn):
    """(stars, level) of every opinion."""
    return [
        (review.stars, int(words.OPINIONS[chosen].mark))
        for review in drawn
        for sentence in review.sentences
        for slot, chosen in sentence.slots
        if slot.startswith("opinion")
    ]


def test_opinions_follow_the_stars_but_not_always():
    found = opinion_levels(reviews.draw(config(train=2000)))
    agree = [(level > 3) == (stars > 3) for stars, level in found if level != 3]
    assert 0.75 < sum(agree) / len(agree) < 0.95


def test_but_joins_what_contradicts_itself():
    for review in reviews.draw(config(train=1000)):
        for sentence in review.sentences:
            slots = dict(sentence.slots)
            if sentence.kind in ("and", "but"):
                one, other = (int(words.OPINIONS[slots[s]].mark) - 3 for s in ("opinion", "opinion2"))
                assert (sentence.kind == "but") == (one * other < 0)
                assert slots["aspect"] != slots["aspect2"]


def test_products_have_only_aspects_that_such_things_have():
    for review in reviews.draw(config()):
        for sentence in review.sentences:
            slots = dict(sentence.slots)
            kind = words.PRODUCTS[slots["product"]].mark
            for slot in {"aspect", "aspect2"} & set(slots):
                assert words.ASPECTS[slots[slot]].mark == "all" or kind in words.ASPECTS[slots[slot]].mark


def test_reviews_have_one_to_three_sentences_about_one_product():
    drawn = reviews.draw(config())
    assert {len(review.sentences) for review in drawn} == {1, 2, 3}
    assert all(len({dict(s.slots)["product"] for s in review.sentences}) == 1 for review in drawn)


def test_the_seed_alone_changes_reviews(loaded):
    again = sources.load(config(param_batch=7), LANGUAGES, False)
    assert again.views["fr"].samples == loaded.views["fr"].samples
    other = sources.load(config(seed=1), ["fr"], True).views["fr"].samples
    assert len(set(other) & set(loaded.views["fr"].samples)) < 50


def test_languages_can_be_asked_for_one_by_one(loaded):
    one = sources.load(config(), ["es"], True)
    assert list(one.views) == ["es"]
    assert one.views["es"].samples == loaded.views["es"].samples


def test_identity_tells_what_changes_the_texts_and_nothing_else(monkeypatch):
    def identity(language="de", **changes):
        return sources.identity(config(**changes), [language], True)[language]

    assert identity() == identity(param_batch=7)
    others = [
        identity("en"),
        identity(seed=1),
        identity(labels="fine"),
        identity(train=401),
        identity(test=99),
    ]
    before = identity()
    monkeypatch.setitem(grammar._TEMPLATES["de"], "verdict", "Kurz: {verdict}")
    others.append(identity())
    assert all(other != before for other in others)


def test_unknown_languages_are_told_at_once():
    for function in (sources.identity, sources.load):
        with pytest.raises(UserError) as caught:
            function(config(), ["de", "nl", "ja"], True)
        assert [p.what for p in caught.value.problems] == [
            "there are no reviews in 'nl'",
            "there are no reviews in 'ja'",
        ]
        assert all("de, en, es, fr, zh" in problem.remedy for problem in caught.value.problems)
