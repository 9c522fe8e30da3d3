"""From labels as a source spells them to class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relrep_exp.errors import Problem

Label = int | str


@dataclass(frozen=True)
class Classes:
    """Class numbers 0 .. C-1 of both splits, and what the classes are called.

    Attributes:
        train: one per training sample.
        test: one per test sample.
        names: the labels of the training split, sorted; a class number is a place in this list.
    """

    train: Sequence[int]
    test: Sequence[int]
    names: Sequence[Label]


def class_numbers(
    train: Sequence[Any], test: Sequence[Any], limit: int | None = None
) -> tuple[Classes, list[Problem]]:
    """Numbers the labels in sorted order over the whole training split; `limit` then keeps the first of each.

    Returns:
        The classes, and everything that is wrong with the labels; the classes are empty if anything is.
    """
    problems = _unusable("training", train) + _unusable("test", test)
    if not problems:
        names = sorted(set(train))
        problems = _unlearnable(train, test, names, limit)
    if problems:
        return Classes([], [], []), problems
    number = {name: k for k, name in enumerate(names)}
    return Classes([number[y] for y in train[:limit]], [number[y] for y in test[:limit]], names), []


def _unusable(split: str, labels: Sequence[Any]) -> list[Problem]:
    """Labels have to be integers or text, all of one kind and none missing."""
    if not len(labels):
        return [
            Problem(f"the {split} split is empty", "give it samples, or name another: data.train, data.test")
        ]
    remedy = "give every sample an integer or a name as its label: data.label=COLUMN"
    for row, label in enumerate(labels):
        if not isinstance(label, int | str) or label == "":
            return [Problem(f"the label of {split} sample {row} is {label!r}", remedy)]
    if len({isinstance(label, str) for label in labels}) == 2:
        return [Problem(f"some labels of the {split} split are numbers and some are text", remedy)]
    return []


def _unlearnable(
    train: Sequence[Label], test: Sequence[Label], names: Sequence[Label], limit: int | None
) -> list[Problem]:
    if len(set(train[:limit])) < 2:
        only = f"all training labels are {train[0]!r}"
        if len(names) < 2:
            return [Problem(only, "give samples of at least two classes")]
        return [Problem(f"{only} in the first {limit} samples", "raise data.limit")]
    known = set(names)
    if unseen := sorted({label for label in test if label not in known}, key=str):
        some = ", ".join(repr(label) for label in unseen[:5])
        what = (
            f"{len(unseen)} test labels never occur in training: {some}{', ...' if len(unseen) > 5 else ''}"
        )
        return [Problem(what, "give training samples of every class, or remove these test samples")]
    return []
