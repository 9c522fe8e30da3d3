"""How the five languages say what a review means: one template for each kind of sentence.

In a template `{product:diesen}` is a noun with the article that `diesen` stands for, in its gender:
`diesen Rucksack`, `diese Jacke`. `{name}` is a phrase without article. `[a/b/c]` is the form for a
masculine, feminine or neuter product. What begins a sentence becomes a capital.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relrep_exp.data import review_words as words

# Which table a slot is filled from; a digit behind a slot's name tells two of a kind apart.
TABLES: Mapping[str, tuple[words.Row, ...]] = {
    "product": words.PRODUCTS,
    "aspect": words.ASPECTS,
    "opinion": words.OPINIONS,
    "recipient": words.RECIPIENTS,
    "duration": words.DURATIONS,
    "delivery": words.DELIVERIES,
    "seller": words.SELLERS,
    "verdict": words.VERDICTS,
}
_NOUNS = ("product", "aspect", "recipient")

_GENDERS = {
    "de": {"der": "m", "die": "f", "das": "n"},
    "es": {"un": "m", "una": "f"},
    "fr": {"un": "m", "une": "f"},
}

# language -> form -> article, by gender. French adds m' and f': before a vowel.
_ARTICLES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "de": {
        "der": {"m": "der ", "f": "die ", "n": "das "},
        "diesen": {"m": "diesen ", "f": "diese ", "n": "dieses "},
        "diesem": {"m": "diesem ", "f": "dieser ", "n": "diesem "},
        "mein": {"m": "mein ", "f": "meine ", "n": "mein "},
        "meinen": {"m": "meinen ", "f": "meine ", "n": "mein "},
    },
    "en": {"the": {"": "the "}, "this": {"": "this "}, "my": {"": "my "}},
    "es": {
        "el": {"m": "el ", "f": "la "},
        "este": {"m": "este ", "f": "esta "},
        "mi": {"m": "mi ", "f": "mi "},
    },
    "fr": {
        "le": {"m": "le ", "f": "la ", "m'": "l'", "f'": "l'"},
        "ce": {"m": "ce ", "f": "cette ", "m'": "cet ", "f'": "cette "},
        "mon": {"m": "mon ", "f": "ma ", "m'": "mon ", "f'": "mon "},
    },
}

_TEMPLATES: Mapping[str, Mapping[str, str]] = {
    "de": {
        "use": "Ich benutze {product:diesen} seit {duration}.",
        "bought": "Ich habe {product:diesen} für {recipient:meinen} gekauft.",
        "present": "{recipient:mein} hat mir {product:diesen} geschenkt.",
        "broken": "{product:der} ging nach {duration} kaputt.",
        "lasting": "Nach {duration} ist {product:der} immer noch wie neu.",
        "aspect": "{aspect:der} {opinion}.",
        "about": "{aspect:der} von {product:diesem} {opinion}.",
        "and": "{aspect:der} {opinion} und {aspect2:der} {opinion2}.",
        "but": "{aspect:der} {opinion}, aber {aspect2:der} {opinion2}.",
        "service and": "{delivery} und {seller}.",
        "service but": "{delivery}, aber {seller}.",
        "verdict": "{verdict}",
    },
    "en": {
        "use": "I have been using {product:this} for {duration}.",
        "bought": "I bought {product:this} for {recipient:my}.",
        "present": "{recipient:my} gave me {product:this} as a present.",
        "broken": "{product:the} fell apart after {duration}.",
        "lasting": "After {duration} {product:the} is still like new.",
        "aspect": "{aspect:the} {opinion}.",
        "about": "{aspect:the} of {product:this} {opinion}.",
        "and": "{aspect:the} {opinion} and {aspect2:the} {opinion2}.",
        "but": "{aspect:the} {opinion}, but {aspect2:the} {opinion2}.",
        "service and": "{delivery} and {seller}.",
        "service but": "{delivery}, but {seller}.",
        "verdict": "{verdict}",
    },
    "es": {
        "use": "Uso {product:este} desde hace {duration}.",
        "bought": "Compré {product:este} para {recipient:mi}.",
        "present": "{recipient:mi} me regaló {product:este}.",
        "broken": "{product:el} se estropeó después de {duration}.",
        "lasting": "Después de {duration}, {product:el} sigue como [nuevo/nueva].",
        "aspect": "{aspect:el} {opinion}.",
        "about": "{aspect:el} de {product:este} {opinion}.",
        "and": "{aspect:el} {opinion} y {aspect2:el} {opinion2}.",
        "but": "{aspect:el} {opinion}, pero {aspect2:el} {opinion2}.",
        "service and": "{delivery} y {seller}.",
        "service but": "{delivery}, pero {seller}.",
        "verdict": "{verdict}",
    },
    "fr": {
        "use": "J'utilise {product:ce} depuis {duration}.",
        "bought": "J'ai acheté {product:ce} pour {recipient:mon}.",
        "present": "{recipient:mon} m'a offert {product:ce}.",
        "broken": "{product:le} s'est [abîmé/abîmée] au bout de {duration}.",
        "lasting": "Après {duration}, {product:le} est toujours comme [neuf/neuve].",
        "aspect": "{aspect:le} {opinion}.",
        "about": "{aspect:le} de {product:ce} {opinion}.",
        "and": "{aspect:le} {opinion} et {aspect2:le} {opinion2}.",
        "but": "{aspect:le} {opinion}, mais {aspect2:le} {opinion2}.",
        "service and": "{delivery} et {seller}.",
        "service but": "{delivery}, mais {seller}.",
        "verdict": "{verdict}",
    },
    "zh": {
        "use": "{product:这}我已经用了{duration}。",
        "bought": "我给{recipient:我}买了{product:这}。",
        "present": "{recipient:我}送了我{product:这}。",
        "broken": "用了{duration}，{product}就坏了。",
        "lasting": "用了{duration}，{product}还像新的一样。",
        "aspect": "{aspect}{opinion}。",
        "about": "{product:这}的{aspect}{opinion}。",
        "and": "{aspect}{opinion}，而且{aspect2}{opinion2}。",
        "but": "{aspect}{opinion}，但是{aspect2}{opinion2}。",
        "service and": "{delivery}，而且{seller}。",
        "service but": "{delivery}，但是{seller}。",
        "verdict": "{verdict}",
    },
}
_AGREEMENT = re.compile(r"\[([^]]+)\]")
_ELIDED = "aâeéèêiîoôu"


@dataclass(frozen=True)
class Noun:
    """A noun that formats itself with an article: `f"{noun:diesen}"`; without a form it stands alone.

    Attributes:
        text: without article.
        gender: m, f or n; none in English and Chinese.
        articles: form -> the article before this noun.
    """

    text: str
    gender: str
    articles: Mapping[str, str]

    def __format__(self, form: str) -> str:
        return self.articles[form] + self.text if form else self.text


@dataclass(frozen=True)
class Sentence:
    """What one sentence means, in no language.

    Attributes:
        kind: the name of its template.
        slots: slot -> row of its table, sorted by slot, so that equal meanings are equal.
    """

    kind: str
    slots: tuple[tuple[str, int], ...]


def render(sentences: tuple[Sentence, ...], language: str) -> str:
    """A review in one language."""
    return ("" if language == "zh" else " ").join(_sentence(sentence, language) for sentence in sentences)


def material() -> str:
    """Everything that texts are made of, for a digest."""
    return repr((TABLES, _ARTICLES, _TEMPLATES))


def _sentence(sentence: Sentence, language: str) -> str:
    slots = dict(sentence.slots)
    nouns = {slot: _noun(slot, row, language) for slot, row in slots.items() if _table(slot) in _NOUNS}
    phrases = {slot: TABLES[_table(slot)][row].words[language] for slot, row in slots.items()}
    for slot, phrase in phrases.items():
        if _table(slot) == "opinion":
            phrases[slot] = _agree(phrase, nouns[slot.replace("opinion", "aspect")])
    text = _TEMPLATES[language][sentence.kind].format_map({**phrases, **nouns})
    text = _agree(text, nouns["product"]) if "product" in nouns else text
    return text[:1].upper() + text[1:]


def _table(slot: str) -> str:
    return slot.rstrip("2")


def _noun(slot: str, row: int, language: str) -> Noun:
    """The noun of a row, from `der Rucksack`, `un sac à dos` or `个 背包`."""
    written = TABLES[_table(slot)][row].words[language]
    if language == "en":
        return Noun(written, "", {form: by[""] for form, by in _ARTICLES["en"].items()})
    article, text = written.split(" ", 1)
    if language == "zh":
        return Noun(text, "", {"这": f"这{article}", "我": "我"})
    gender = _GENDERS[language][article]
    sound = "'" if language == "fr" and text[0] in _ELIDED else ""
    return Noun(text, gender, {form: by[gender + sound] for form, by in _ARTICLES[language].items()})


def _agree(text: str, noun: Noun) -> str:
    """Every [a/b/c] in the form for the noun's gender."""
    return _AGREEMENT.sub(lambda found: found[1].split("/")["mfn".index(noun.gender)], text)
