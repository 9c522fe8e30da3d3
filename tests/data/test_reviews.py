"""Made-up reviews: the same ones in five languages, in correct grammar, distinct, balanced, reproducible."""

import re
from collections import Counter

import pytest
import reading as sources
import torch

from relrep_exp.config.schema import ReviewsData
from relrep_exp.data import review_grammar as grammar
from relrep_exp.data import reviews
from relrep_exp.data.review_grammar import LANGUAGES, TABLES
from relrep_exp.errors import UserError
from relrep_exp.store.keys import text_digest


def config(**changes):
    return ReviewsData("reviews", "template_reviews", **{"train": 400, "test": 100, **changes})


@pytest.fixture(scope="module")
def loaded():
    return sources.load(config(), LANGUAGES, offline=True)


def said(kind, language, **slots):
    """A sentence in one language, its slots named by the English words of their rows."""
    numbers = {
        slot: [row.words["en"] for row in TABLES[slot.rstrip("2")]].index(english)
        for slot, english in slots.items()
    }
    return grammar.render((grammar.Sentence(kind, tuple(sorted(numbers.items()))),), language)


GOLDEN = {
    "de": "Der Reißverschluss von diesem Koffer ist inakzeptabel.",
    "en": "The zip of this suitcase is unacceptable.",
    "es": "La cremallera de esta maleta es inaceptable.",
    "fr": "La fermeture éclair de cette valise est inacceptable.",
    "zh": "这个行李箱的拉链让人无法接受。",
}


def test_the_reviews_of_a_seed_never_change(loaded):
    """Golden: raise VERSION with any change of the draw; a change of words changes the digest by itself."""
    assert {language: loaded.views[language].samples[0] for language in LANGUAGES} == GOLDEN
    assert loaded.views["en"].samples[1:4] == [
        "I have been using this sofa for half a year. The colour is terrible and the design is unacceptable.",
        "I bought this keyboard for my uncle. Full marks from me!",
        "I have been using this kettle for three weeks. The handle is perfect.",
    ]
    texts = [text for language in LANGUAGES for text in loaded.views[language].samples]
    assert text_digest("\n".join(texts)) == "d8063caf2fac1525ff8fc99e24a7da120a3df01000ff6c63c28de278236afa5a"


def test_the_words_are_in_the_key_as_they_always_were():
    found = sources.identity(config(), ["de"], True)["de"]["digest"]
    assert found == "b55651f7417aaa8f12899f40e355bcce6fc0e3d1f25a7e3d5aa3ad8c8860a7a9"


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
    assert [said("use", language, product=english, duration="a week") for language in LANGUAGES] == [
        f"Ich benutze {de} seit einer Woche.",
        f"I have been using {en} for a week.",
        f"Uso {es} desde hace una semana.",
        f"J'utilise {fr} depuis une semaine.",
        f"{zh}我已经用了一个星期。",
    ]


SUBJECTS = {"kind": "broken", "duration": "two months"}
FIRST = {"kind": "but", "product": "kettle", "aspect": "quality", "opinion": "is poor", "aspect2": "size",
         "opinion2": "is perfect"}  # fmt: skip
SECOND = {**FIRST, "aspect": "design", "opinion": "is perfect", "aspect2": "packaging", "opinion2": "is poor"}
PRONOUN = {"kind": "verdict", "verdict": "I recommend it to everyone."}
AGREEMENT = [
    ({**SUBJECTS, "product": "jacket"}, "Die Jacke ging nach zwei Monaten kaputt.",
     "La chaqueta se estropeó después de dos meses.", "La veste s'est abîmée au bout de deux mois."),
    ({**SUBJECTS, "product": "coat"}, "Der Mantel ging nach zwei Monaten kaputt.",
     "El abrigo se estropeó después de dos meses.", "Le manteau s'est abîmé au bout de deux mois."),
    ({**SUBJECTS, "product": "speaker"}, "Der Lautsprecher ging nach zwei Monaten kaputt.",
     "El altavoz se estropeó después de dos meses.", "L'enceinte s'est abîmée au bout de deux mois."),
    ({**SUBJECTS, "product": "vacuum cleaner"}, "Der Staubsauger ging nach zwei Monaten kaputt.",
     "La aspiradora se estropeó después de dos meses.", "L'aspirateur s'est abîmé au bout de deux mois."),
    (FIRST, "Die Qualität ist schlecht, aber die Größe ist perfekt.",
     "La calidad es mala, pero el tamaño es perfecto.",
     "La qualité est mauvaise, mais la taille est parfaite."),
    (SECOND, "Das Design ist perfekt, aber die Verpackung ist schlecht.",
     "El diseño es perfecto, pero el embalaje es malo.",
     "Le design est parfait, mais l'emballage est mauvais."),
    ({**PRONOUN, "product": "tent"}, "Ich empfehle es jedem.", "La recomiendo a todo el mundo.",
     "Je la recommande à tout le monde."),
    ({**PRONOUN, "product": "suitcase"}, "Ich empfehle ihn jedem.", "La recomiendo a todo el mundo.",
     "Je la recommande à tout le monde."),
    ({**PRONOUN, "product": "drone"}, "Ich empfehle sie jedem.", "Lo recomiendo a todo el mundo.",
     "Je le recommande à tout le monde."),
    ({"kind": "present", "product": "lamp", "recipient": "brother"},
     "Mein Bruder hat mir diese Lampe geschenkt.", "Mi hermano me regaló esta lámpara.",
     "Mon frère m'a offert cette lampe."),
    ({"kind": "bought", "product": "lamp", "recipient": "brother"},
     "Ich habe diese Lampe für meinen Bruder gekauft.", "Compré esta lámpara para mi hermano.",
     "J'ai acheté cette lampe pour mon frère."),
    ({"kind": "bought", "product": "lamp", "recipient": "friend"},
     "Ich habe diese Lampe für meine Freundin gekauft.", "Compré esta lámpara para mi amiga.",
     "J'ai acheté cette lampe pour mon amie."),
]  # fmt: skip


@pytest.mark.parametrize("meaning, de, es, fr", AGREEMENT)
def test_participles_opinions_pronouns_and_possessives_agree(meaning, de, es, fr):
    kind, slots = meaning["kind"], {slot: word for slot, word in meaning.items() if slot != "kind"}
    assert [said(kind, language, **slots) for language in ("de", "es", "fr")] == [de, es, fr]


def test_every_word_renders_in_every_sentence_and_language_with_nothing_left_over():
    slots = {
        "use": ("duration",), "bought": ("recipient",), "present": ("recipient",), "broken": ("duration",),
        "lasting": ("duration",), "about": ("aspect", "opinion"), "verdict": ("verdict",),
        "service and": ("delivery", "seller"), "but": ("aspect", "aspect2", "opinion", "opinion2"),
    }  # fmt: skip
    for kind, names in slots.items():
        tables = {name: TABLES[name.rstrip("2")] for name in ("product", *names)}
        for number in range(max(map(len, tables.values()))):
            picked = {name: (number + n) % len(t) for n, (name, t) in enumerate(tables.items())}
            for language in LANGUAGES:
                text = grammar.render((grammar.Sentence(kind, tuple(sorted(picked.items()))),), language)
                assert not re.search(r"[\[\]{}/|]|  | $", text), text
                assert text[-1] in ".!。！"
                assert (language == "zh") == bool(re.search("[一-鿿]", text))
                assert language != "zh" or not re.search("[ a-zA-Z]", text), text
                assert language == "zh" or text.lstrip("¡")[0].isupper()


def test_different_rows_are_said_differently():
    for name, rows in TABLES.items():
        for language in LANGUAGES:
            assert len({row.words[language] for row in rows}) == len(rows), (name, language)


def test_the_same_meaning_in_all_languages(loaded):
    """Each language's words for product and aspects are found in the row where the others have theirs."""
    for number, review in enumerate(reviews.draw(config())):
        for sentence in review.sentences:
            for slot, chosen in sentence.slots:
                if slot == "product" and sentence.kind not in ("use", "about"):
                    continue
                for language in ("en", "zh"):
                    phrase = TABLES[slot.rstrip("2")][chosen].words[language]
                    bare = phrase.split(" ", 1)[-1] if language == "zh" else phrase
                    assert bare.casefold() in loaded.views[language].samples[number].casefold()


def test_all_views_share_labels_and_split_and_say_nothing_twice(loaded):
    assert loaded.parallel
    first = loaded.views["de"]
    assert first.is_train.tolist() == [True] * 400 + [False] * 100
    for view in loaded.views.values():
        assert torch.equal(view.labels, first.labels) and torch.equal(view.is_train, first.is_train)
        assert len(view.samples) == len(set(view.samples)) == 500


@pytest.mark.parametrize("labels, classes", [("coarse", 2), ("fine", 5)])
def test_classes_are_balanced_and_follow_the_stars(labels, classes):
    view = sources.load(config(labels=labels), ["en"], True).views["en"]
    for part in (view.labels[view.is_train], view.labels[~view.is_train]):
        counts = Counter(part.tolist())
        assert sorted(counts) == list(range(classes))
        assert max(counts.values()) - min(counts.values()) <= 1
    stars = [review.stars for review in reviews.draw(config(labels=labels))]
    assert set(stars) == ({1, 2, 4, 5} if labels == "coarse" else {1, 2, 3, 4, 5})
    assert view.labels.tolist() == [int(n > 3) if labels == "coarse" else n - 1 for n in stars]


def test_what_a_review_says_hangs_together():
    """Opinions mostly follow the stars, `but` joins opposites, aspects are the product's own."""
    drawn, agree = reviews.draw(config(train=2000)), []
    assert {len(review.sentences) for review in drawn} == {1, 2, 3}
    for review in drawn:
        meanings = [(sentence.kind, dict(sentence.slots)) for sentence in review.sentences]
        [product] = {slots["product"] for _, slots in meanings}
        for kind, slots in meanings:
            levels = [int(TABLES["opinion"][slots[s]].mark) for s in ("opinion", "opinion2") if s in slots]
            agree += [(level > 3) == (review.stars > 3) for level in levels if level != 3]
            if kind in ("and", "but"):
                assert (kind == "but") == ((levels[0] - 3) * (levels[1] - 3) < 0)
                assert slots["aspect"] != slots["aspect2"]
            for slot in {"aspect", "aspect2"} & set(slots):
                kinds = TABLES["aspect"][slots[slot]].mark
                assert kinds == "all" or TABLES["product"][product].mark in kinds
    assert 0.75 < sum(agree) / len(agree) < 0.95


def test_the_seed_alone_changes_reviews_not_the_languages_asked_for(loaded):
    again = sources.load(config(param_batch=7), ["fr"], False)
    assert list(again.views) == ["fr"]
    assert again.views["fr"].samples == loaded.views["fr"].samples
    other = sources.load(config(seed=1), ["fr"], True).views["fr"].samples
    assert len(set(other) & set(loaded.views["fr"].samples)) < 50


def test_identity_tells_what_changes_the_texts_and_nothing_else(monkeypatch):
    def identity(language="de", **changes):
        return sources.identity(config(**changes), [language], True)[language]

    before = identity()
    assert before == identity(param_batch=7)
    changes = [{"seed": 1}, {"labels": "fine"}, {"train": 401}, {"test": 99}]
    others = [identity("en"), *(identity(**change) for change in changes)]
    monkeypatch.setitem(grammar.TEMPLATES["de"], "verdict", "Kurz: {verdict}")
    others.append(identity())
    assert all(other != before for other in others)


def test_unknown_languages_are_told_at_once():
    for function in (sources.identity, sources.load):
        with pytest.raises(UserError) as caught:
            function(config(), ["de", "nl", "ja"], True)
        said = [problem.what for problem in caught.value.problems]
        assert said == ["there are no reviews in 'nl'", "there are no reviews in 'ja'"]
        assert all("de, en, es, fr, zh" in problem.remedy for problem in caught.value.problems)
