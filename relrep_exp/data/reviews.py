"""Made-up product reviews, the same ones in five languages, from a small grammar: they need no network.

A review is drawn as meaning: stars, a product and one to three sentences (`_PATTERNS`), each a template with
rows of the vocabulary in its slots. Every language says the same rows. Opinions follow the stars, but

* each is up to one star off, and one in `_STRAY` says the opposite;
* a pair of aspects may contradict itself, and then what comes after the `but` is what was meant most often;
* delivery and seller have little to do with the product.

So words alone do not give the stars away, and not every review can be told right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from relrep_exp.data import review_grammar as grammar
from relrep_exp.data.manifest import settings
from relrep_exp.data.review_grammar import LANGUAGES, TABLES, Sentence
from relrep_exp.data.samples import Samples, View, require_views
from relrep_exp.store.keys import text_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import ReviewsData

VERSION = 1
_PATTERNS = (
    ("about",),
    ("about", "verdict"),
    ("about", "service"),
    ("opening", "verdict"),
    ("opening", "aspect"),
    ("opening", "pair"),
    ("opening", "pair", "verdict"),
    ("opening", "aspect", "service"),
    ("opening", "aspect", "verdict"),
    ("opening", "service", "verdict"),
    ("about", "pair", "service"),
)
_STRAY = 20  # one opinion in so many says the opposite of what the stars say
_CONTRAST = 0.4  # pairs of aspects that contradict each other
_LAST_WORD = 0.8  # such pairs where the stars agree with what comes last
_SERVICE = 0.5  # deliveries and sellers that agree with the stars; the others are any

T = TypeVar("T")


@dataclass(frozen=True)
class Review:
    """A review, in no language.

    Attributes:
        stars: 1 to 5.
        sentences: what it says.
    """

    stars: int
    sentences: tuple[Sentence, ...]


def identity(config: ReviewsData, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
    """Tell these reviews from others: settings, and a digest of grammar and vocabulary.

    Raises:
        UserError: a view is none of the languages.
    """
    _require_languages(views)
    common = {**settings(config), "version": VERSION, "digest": text_digest(grammar.material())}
    return {view: {**common, "language": view} for view in views}


def load(config: ReviewsData, views: Sequence[str], offline: bool) -> Samples:
    """Write the reviews in these languages; the training samples come first.

    Raises:
        UserError: a view is none of the languages.
    """
    import torch

    _require_languages(views)
    drawn = draw(config)
    classes = sorted({review.stars for review in drawn})
    coarse = config.labels == "coarse"
    labels = torch.tensor([int(one.stars > 3) if coarse else classes.index(one.stars) for one in drawn])
    is_train = torch.arange(len(drawn)) < config.train
    texts = {view: [grammar.render(review.sentences, view) for review in drawn] for view in views}
    return Samples({view: View(texts[view], is_train, labels) for view in views}, parallel=True)


@lru_cache(maxsize=2)
def draw(config: ReviewsData) -> tuple[Review, ...]:
    """Draw distinct reviews, balanced: the n-th has the n-th number of stars, going round.

    Coarse labels leave out three stars.
    """
    random = Random(f"reviews {config.seed}")
    stars = (1, 2, 3, 4, 5) if config.labels == "fine" else (1, 2, 4, 5)
    found: dict[tuple[Sentence, ...], Review] = {}
    while len(found) < config.train + config.test:
        review = _Writer(random, stars[len(found) % len(stars)]).review()
        found.setdefault(review.sentences, review)
    return tuple(found.values())


def _require_languages(views: Sequence[str]) -> None:
    known = f"choose encoders of these languages: {', '.join(LANGUAGES)}"
    require_views(views, LANGUAGES, "there are no reviews in {view!r}", known)


class _Writer:
    """Draws one review of a product."""

    def __init__(self, random: Random, stars: int):
        self.random, self.stars = random, stars
        self.product = self._pick(range(len(TABLES["product"])))
        self.opinions: set[int] = set()
        kinds = {"all", TABLES["product"][self.product].mark}
        self.aspects = [n for n, row in enumerate(TABLES["aspect"]) if kinds & set(row.mark.split())]

    def review(self) -> Review:
        """Write one to three sentences."""
        pattern = self._pick(_PATTERNS)
        return Review(self.stars, tuple(getattr(self, f"_{kind}")() for kind in pattern))

    def _opening(self) -> Sentence:
        """What was bought, for whom, for how long; its end or its long life where the stars say so."""
        level = self._level()
        kinds = ["use", "bought", "present", "broken" if level < 3 else "lasting" if level > 3 else "use"]
        kind = self._pick(kinds)
        if kind in ("bought", "present"):
            return self._said(kind, recipient=self._pick(range(len(TABLES["recipient"]))))
        return self._said(kind, duration=self._pick(range(len(TABLES["duration"]))))

    def _about(self, kind: str = "about") -> Sentence:
        return self._said(kind, aspect=self._new_aspect(), opinion=self._opinion(self._level()))

    def _aspect(self) -> Sentence:
        return self._about("aspect")

    def _pair(self) -> Sentence:
        levels = [self._level(), self._level()]
        if self.random.random() < _CONTRAST:
            levels = [6 - levels[0], levels[1]]
            levels = levels if self.random.random() < _LAST_WORD else levels[::-1]
        return self._said(
            "but" if _contradict(*levels) else "and",
            aspect=self._new_aspect(),
            opinion=self._opinion(levels[0]),
            aspect2=self._new_aspect(),
            opinion2=self._opinion(levels[1]),
        )

    def _service(self) -> Sentence:
        levels = [
            self._level() if self.random.random() < _SERVICE else self._pick((1, 2, 3, 4, 5))
            for _ in range(2)
        ]
        return self._said(
            "service but" if _contradict(*levels) else "service and",
            delivery=self._of_level(TABLES["delivery"], levels[0]),
            seller=self._of_level(TABLES["seller"], levels[1]),
        )

    def _verdict(self) -> Sentence:
        return self._said("verdict", verdict=self._of_level(TABLES["verdict"], self._level()))

    def _said(self, kind: str, **slots: int) -> Sentence:
        return Sentence(kind, tuple(sorted({"product": self.product, **slots}.items())))

    def _level(self) -> int:
        """The stars as an opinion gives them away."""
        level = min(5, max(1, self.stars + self._pick((-1, 0, 0, 1))))
        return 6 - level if self.random.random() * _STRAY < 1 else level

    def _opinion(self, level: int) -> int:
        """In words that this review has not used yet."""
        chosen = self._of_level(TABLES["opinion"], level, self.opinions)
        self.opinions.add(chosen)
        return chosen

    def _of_level(self, table: tuple[grammar.Row, ...], level: int, used: Collection[int] = ()) -> int:
        return self._pick([n for n, row in enumerate(table) if row.mark == str(level) and n not in used])

    def _new_aspect(self) -> int:
        """One that this review has not mentioned yet."""
        return self.aspects.pop(int(self.random.random() * len(self.aspects)))

    def _pick(self, choices: Sequence[T]) -> T:
        # `random()` alone is promised to give the same numbers in every version of Python
        return choices[int(self.random.random() * len(choices))]


def _contradict(one: int, other: int) -> bool:
    return (one - 3) * (other - 3) < 0
