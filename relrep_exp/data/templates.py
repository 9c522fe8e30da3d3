"""conf/data/templates: distinct English sentences of a small grammar, `template_grammar`; no network needed.

from relrep_exp.data.templates import paraphrase, sentences
for sentence in sentences(3, seed=0):
    print(sentence, "|", paraphrase(sentence))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from relrep_exp.data.manifest import settings
from relrep_exp.data.samples import Samples, View
from relrep_exp.data.template_grammar import CONTENTS, PATTERNS, Sentence, fillers
from relrep_exp.errors import Problem, UserError
from relrep_exp.store.keys import text_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import TemplatesData

VIEW = "en"
VERSION = 1


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
    train, test = split(config)
    return [str(sentence) for sentence in train + test]


def _require_english(views: Sequence[str]) -> None:
    problems = [
        Problem(f"there are no template sentences in {view!r}", f"choose encoders of {VIEW}")
        for view in views
        if view != VIEW
    ]
    if problems:
        raise UserError(problems)
