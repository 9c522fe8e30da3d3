"""How the five languages say what a review means: the rows of assets/reviews.tsv, in agreement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relrep_exp.data.textfile import asset

LANGUAGES = ("de", "en", "es", "fr", "zh")
NOUNS = ("product", "aspect", "recipient")  # tables whose words come with an article

# The articles that nouns have in assets/reviews.tsv -> gender
_GENDERS = {
    "de": {"der": "m", "die": "f", "das": "n"},
    "es": {"un": "m", "una": "f"},
    "fr": {"un": "m", "une": "f"},
}
_AGREEMENT = re.compile(r"\[([^]]+)\]")
_ELIDED = "aâeéèêiîoôu"


@dataclass(frozen=True)
class Row:
    """One thing to say.

    Attributes:
        mark: kinds of product, or stars, as the table says.
        words: language -> how it is said.
    """

    mark: str
    words: dict[str, str]


@dataclass(frozen=True)
class Sentence:
    """What one sentence means, in no language.

    Attributes:
        kind: the name of its template.
        slots: slot -> row of its table, sorted by slot, so that equal meanings are equal.
    """

    kind: str
    slots: tuple[tuple[str, int], ...]


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


def _tables() -> tuple[dict[str, tuple[Row, ...]], dict[str, dict[str, str]]]:
    """The rows of each table, and for each language the template of each kind of sentence."""
    found: dict[str, tuple[Row, ...]] = {}
    for cells in asset("reviews.tsv"):
        row = Row(cells["mark"], {language: cells[language] for language in LANGUAGES})
        found[cells["table"]] = (*found.get(cells["table"], ()), row)
    kinds = found.pop("sentence")
    return found, {language: {row.mark: row.words[language] for row in kinds} for language in LANGUAGES}


def _articles() -> dict[str, dict[str, dict[str, str]]]:
    """Language -> form -> gender -> the article with the space that follows it."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for cells in asset("review_articles.tsv"):
        forms = found.setdefault(cells["language"], {}).setdefault(cells["form"], {})
        article = cells["article"]
        forms[cells["gender"]] = article if article.endswith("'") else f"{article} "
    return found


# Which table a slot is filled from; a digit behind a slot's name tells two of a kind apart.
TABLES, TEMPLATES = _tables()
ARTICLES = _articles()


def material() -> str:
    """Spell out everything that texts are made of; the digest of it is in the key of every record."""
    return repr((TABLES, ARTICLES, TEMPLATES))


def render(sentences: tuple[Sentence, ...], language: str) -> str:
    """Say a review in one language."""
    return ("" if language == "zh" else " ").join(_sentence(sentence, language) for sentence in sentences)


def _sentence(sentence: Sentence, language: str) -> str:
    nouns: dict[str, Noun] = {}
    phrases: dict[str, str] = {}
    for slot, number in sentence.slots:
        table = slot.rstrip("2")
        written = TABLES[table][number].words[language]
        if table in NOUNS:
            nouns[slot] = _noun(written, language)
        elif table == "opinion":  # sorted by slot, so its aspect is known already
            phrases[slot] = _agree(written, nouns[slot.replace("opinion", "aspect")])
        else:
            phrases[slot] = written
    text = TEMPLATES[language][sentence.kind].format_map({**phrases, **nouns})
    text = _agree(text, nouns["product"]) if "product" in nouns else text
    return text[:1].upper() + text[1:]


def _noun(written: str, language: str) -> Noun:
    """The noun of a cell: `der Rucksack`, `un sac à dos` or `个 背包`; in English without an article."""
    if language == "en":
        return Noun(written, "", {form: by[""] for form, by in ARTICLES["en"].items()})
    article, text = written.split(" ", 1)
    if language == "zh":
        return Noun(text, "", {"这": f"这{article}", "我": "我"})
    gender = _GENDERS[language][article]
    sound = "'" if language == "fr" and text[0] in _ELIDED else ""
    return Noun(text, gender, {form: by[gender + sound] for form, by in ARTICLES[language].items()})


def _agree(text: str, noun: Noun) -> str:
    """Every [a/b/c] in the form for the noun's gender."""
    return _AGREEMENT.sub(lambda found: found[1].split("/")["mfn".index(noun.gender)], text)
