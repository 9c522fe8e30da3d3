"""The grammar of the template sentences: who did what to which thing, where, when and why.

    sentence  = one of the patterns over seven slots, each filled independently of the others
    person    = "a teacher"                         with its article
    action    = "bought"                            past tense, or "was bought by" in the passive
    thing     = quality + object: "a cheap sofa"    with its article
    place     = "at the market"
    time      = "at noon"
    reason    = "for fun"                           why or how

Every filler of a slot has two wordings that mean the same ("bought" and "purchased"). A sentence uses the
first wordings or the second ones throughout, so that it has paraphrases which share hardly a word with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Wordings = tuple[str, str]


def _pairs(text: str) -> tuple[Wordings, ...]:
    """Both wordings of each filler, from the text "teacher/instructor, cook/chef"."""
    found = [entry.strip().split("/") for entry in text.split(",")]
    return tuple((first, second) for first, second in found)


# In the order in which a number is spelt as the fillers of one sentence.
SLOTS: dict[str, tuple[Wordings, ...]] = {
    "person": _pairs(
        """teacher/instructor, doctor/physician, lawyer/attorney, writer/author, cook/chef, student/pupil,
        manager/boss, singer/vocalist, pilot/aviator, trader/merchant, scientist/researcher, tourist/visitor,
        reporter/journalist, guard/watchman, actor/performer, engineer/technician"""
    ),
    "action": _pairs(
        """bought/purchased, found/discovered, lost/misplaced, fixed/repaired, painted/coloured,
        damaged/spoiled, carried/hauled, sketched/outlined, cleaned/washed, admired/praised,
        displayed/presented, wrapped/packed, requested/ordered, examined/inspected"""
    ),
    "quality": _pairs(
        """big/large, small/little, old/ancient, new/modern, cheap/inexpensive, expensive/costly,
        pretty/beautiful, strange/odd, heavy/weighty, shiny/gleaming, dirty/filthy, red/crimson,
        rare/uncommon, famous/celebrated"""
    ),
    "object": _pairs(
        """bicycle/bike, photo/picture, phone/telephone, sofa/couch, rug/carpet, bag/sack, coat/jacket,
        cup/mug, rock/stone, jewel/gem, notebook/journal, lamp/lantern, box/crate, hat/cap, knife/blade,
        gift/present, umbrella/parasol, violin/fiddle"""
    ),
    "place": _pairs(
        """at the market/in the bazaar, in the street/on the road, in the forest/in the woods,
        at the seaside/on the beach, in the shop/at the store, in the garden/in the yard,
        in the cellar/in the basement, at the inn/in the hotel, in the church/in the chapel,
        in the harbour/at the port, in the town/in the city, at the airport/on the airfield,
        in the tavern/at the pub, by the lake/near the pond"""
    ),
    "time": _pairs(
        """yesterday/the day before, at dawn/at sunrise, at dusk/at sunset, at noon/at midday,
        at night/after dark, last week/a week ago, last year/a year ago, in autumn/in the fall,
        on Sunday/at the weekend, long ago/in the past, this morning/early today,
        before lunch/before the meal"""
    ),
    "reason": _pairs(
        """by mistake/by accident, for a friend/for a companion, for money/for cash, in a hurry/in haste,
        in secret/on the quiet, for fun/for pleasure, as a joke/in jest, on purpose/by design,
        out of anger/in a rage, without help/all alone"""
    ),
}
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
    """The words after "a" or "an"; no word here begins with a silent h, or with u spoken as in "use"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def fillers(number: int) -> tuple[int, ...]:
    """The content with a number in 0 .. `CONTENTS` - 1, as fillers: the digits of a mixed radix."""
    digits = []
    for words in reversed(SLOTS.values()):
        number, digit = divmod(number, len(words))
        digits.append(digit)
    return tuple(reversed(digits))
