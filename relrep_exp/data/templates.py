"""conf/data/templates: distinct English sentences of a small grammar; no network needed.

from relrep_exp.data.templates import paraphrase, sentences
for sentence in sentences(3, seed=0):
    print(sentence, "|", paraphrase(sentence))

A sentence says who did what to which thing, where, when and why: one of the patterns over the slots of
assets/templates.tsv, each filled independently of the others. Every filler has two wordings that mean the
same ("bought" and "purchased"). A sentence uses the first wordings or the second ones throughout, so that it
has paraphrases which share hardly a word with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from random import Random
from typing import TYPE_CHECKING, Any

from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View, require_views
from relrep_exp.data.textfile import asset
from relrep_exp.store.keys import text_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import TemplatesData

VIEW = "en"
VERSION = 1

# Slot -> both wordings of each filler, in the order in which a number is spelt as one sentence's fillers.
SLOTS: dict[str, list[tuple[str, str]]] = {}
for _row in asset("templates.tsv"):
    SLOTS.setdefault(_row["slot"], []).append((_row["first"], _row["second"]))
CONTENTS = prod(map(len, SLOTS.values()))  # how many different things can be said

PATTERNS = (
    "{person} {action} {thing} {place} {time} {reason}",
    "{time}, {person} {action} {thing} {place} {reason}",
    "{place}, {person} {action} {thing} {time} {reason}",
    "{thing} was {action} by {person} {place} {time} {reason}",
    "it was {person} who {action} {thing} {time} {place} {reason}",
    "{reason}, {person} {action} {thing} {place} {time}",
)


@dataclass(frozen=True)
class Sentence:
    """One thing said in one way.

    Attributes:
        fillers: the number of each slot's filler, in the order of `SLOTS`.
        pattern: the number of its pattern.
        wording: 0 or 1, which of their two wordings the fillers have.
    """

    fillers: tuple[int, ...]
    pattern: int = 0
    wording: int = 0

    def __str__(self) -> str:
        """The sentence itself: a capital, a full stop."""
        words = {
            slot: rows[filler][self.wording]
            for (slot, rows), filler in zip(SLOTS.items(), self.fillers, strict=True)
        }
        thing = with_article(f"{words['quality']} {words['object']}")
        person = with_article(words["person"])
        text = PATTERNS[self.pattern].format_map({**words, "person": person, "thing": thing})
        return f"{text[0].upper()}{text[1:]}."


def with_article(words: str) -> str:
    """Put "a" or "an" before words; none here begins with a silent h, or with u spoken as in "use"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def fillers(number: int) -> tuple[int, ...]:
    """Spell the content with a number in 0 .. `CONTENTS` - 1 as fillers: the digits of a mixed radix."""
    digits = []
    for words in reversed(SLOTS.values()):
        number, digit = divmod(number, len(words))
        digits.append(digit)
    return tuple(reversed(digits))


def sentences(n: int, seed: int, exclude: Iterable[Sentence] = ()) -> list[Sentence]:
    """Draw sentences in random order, of which no two say the same.

    Args:
        n: how many.
        seed: draws what they say, and how; a longer list begins with the shorter one.
        exclude: sentences whose content must not occur, however it is said.

    Raises:
        ValueError: there are not so many.
    """
    excluded = {sentence.fillers for sentence in exclude}
    if n + len(excluded) > CONTENTS:
        raise ValueError(f"the grammar can say {CONTENTS:,} things, not {n + len(excluded):,}")
    # The extra draws make up for those that may be excluded. Drawing without replacement keeps them distinct.
    numbers = Random(f"templates {seed} content").sample(range(CONTENTS), n + len(excluded))
    contents = [content for content in map(fillers, numbers) if content not in excluded]
    form = Random(f"templates {seed} form")
    return [Sentence(content, form.randrange(len(PATTERNS)), form.randrange(2)) for content in contents[:n]]


def paraphrase(sentence: Sentence) -> Sentence:
    """Say the same content in another word order and the other wording."""
    return Sentence(sentence.fillers, (sentence.pattern + 1) % len(PATTERNS), 1 - sentence.wording)


def split(config: TemplatesData) -> tuple[list[Sentence], list[Sentence]]:
    """Draw the sentences to learn from and those to test on."""
    drawn = sentences(config.train + config.test, config.seed)
    return drawn[: config.train], drawn[config.train :]


def identity(config: TemplatesData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell these sentences and their split from others: settings, and a digest of the sentences.

    Raises:
        UserError: a view is not English.
    """
    _require_english(views)
    digest = text_digest("\n".join(_texts(config)))
    return {VIEW: {**settings(config), "version": VERSION, "digest": digest}}


def load(config: TemplatesData, views: Sequence[str], offline: bool) -> Samples:
    """Write the sentences, without labels; those to learn from come first.

    Raises:
        UserError: a view is not English.
    """
    import torch

    _require_english(views)
    texts = _texts(config)
    return Samples({VIEW: View(texts, torch.arange(len(texts)) < config.train)}, parallel=True)


def _texts(config: TemplatesData) -> list[str]:
    return [str(sentence) for sentence in sentences(config.train + config.test, config.seed)]


def _require_english(views: Sequence[str]) -> None:
    require_views(views, [VIEW], "there are no template sentences in {view!r}", f"choose encoders of {VIEW}")
