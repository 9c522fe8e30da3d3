"""Which records belong in one comparison: those that differ in nothing but method and seed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

SEED = "seed"
# What makes a method, by the configuration's top-level key; the rest is the setting that methods share.
METHOD_PARTS = frozenset({"method", "aligner", "anchors", "sim"})

_SHOWN = 3  # settings in a title; more only where it takes more to tell two groups apart
_LONGEST = 40  # characters of a value in a title

Settings = dict[str, str]


@dataclass(frozen=True)
class Group:
    """Records that one table can hold.

    Attributes:
        title: the task, and of what sets them apart from the other groups the most telling.
        settings: all that sets them apart, dotted keys with values.
        records: in the order of methods and seeds.
    """

    title: str
    settings: Settings
    records: tuple[Record, ...]


def homogeneous(records: Iterable[Record]) -> list[Group]:
    """Split records into groups that `comparison` accepts.

    Records are first told apart by task and by all configuration outside the method's parts (encoders, data,
    decoder). Where a method then comes in several variants (say, three numbers of anchors), there is one
    group per variant, and the methods without variants stand in each of them.
    """
    ordered = sorted(records, key=_order)
    by_task: defaultdict[str, list[Record]] = defaultdict(list)
    for record in ordered:
        by_task[record.task].append(record)
    return [group for task, members in by_task.items() for group in _of_task(task, members)]


def _order(record: Record) -> tuple[str, str, bool, float, str]:
    seed = record.config.get(SEED)
    number = seed if isinstance(seed, int | float) else None
    return record.task, record.method, number is None, number or 0, record.key


def _of_task(task: str, records: Sequence[Record]) -> list[Group]:
    settings: defaultdict[str, list[Record]] = defaultdict(list)
    shared_by: dict[str, Settings] = {}
    for record in records:
        own = _shared(record)
        text = json.dumps(own)
        shared_by[text] = own
        settings[text].append(record)
    shared = list(shared_by.values())
    told_apart = _varying(shared)
    found = [
        (_plain(_only(common, told_apart) | variant), members)
        for common, group in zip(shared, settings.values(), strict=True)
        for variant, members in _variants(group)
    ]
    every = [apart for apart, _ in found]
    return [Group(_title(task, apart, every), apart, members) for apart, members in found]


def _variants(records: Sequence[Record]) -> list[tuple[Settings, tuple[Record, ...]]]:
    """The variants of the methods' parts, each with the records that fit it."""
    parts = [_parts(record) for record in records]
    by_method: defaultdict[str, list[Settings]] = defaultdict(list)
    for record, part in zip(records, parts, strict=True):
        by_method[record.method].append(part)
    axes = {method: _varying(variants) for method, variants in by_method.items()}
    own = [_only(part, axes[record.method]) for record, part in zip(records, parts, strict=True)]
    points = [point for index, point in enumerate(own) if point not in own[:index]]
    # A variant that another one completes (the same number of anchors, and a temperature) needs no own table.
    fullest = [point for point in points if not any(point.items() < other.items() for other in points)]
    return [
        (
            point,
            tuple(record for record, part in zip(records, own, strict=True) if part.items() <= point.items()),
        )
        for point in fullest
    ]


def _shared(record: Record) -> Settings:
    return {key: text for key, text in _flat(record.config).items() if not _is_part(key) and key != SEED}


def _parts(record: Record) -> Settings:
    return {key: text for key, text in _flat(record.config).items() if _is_part(key)}


def _is_part(key: str) -> bool:
    return key.split(".")[0] in METHOD_PARTS


def _flat(config: Mapping[str, Any], prefix: str = "") -> Settings:
    """Dotted keys in alphabetical order, with values as JSON, so that any two of them can be compared."""
    flat: Settings = {}
    for key, value in sorted(config.items()):
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, sort_keys=True, default=str)
    return flat


def _varying(settings: Sequence[Settings]) -> list[str]:
    """The keys whose values are not the same in all settings; a missing key is a value, too."""
    keys = dict.fromkeys(key for setting in settings for key in setting)
    return [key for key in keys if len({setting.get(key) for setting in settings}) > 1]


def _only(settings: Settings, keys: Iterable[str]) -> Settings:
    return {key: settings.get(key, "none") for key in keys}


def _plain(settings: Settings) -> Settings:
    """Without quotes, the most telling first; keys that the group does not have go unsaid."""
    ranked = sorted(settings, key=lambda key: (not key.endswith("name"), key.count(".")))
    return {key: settings[key].replace('"', "") for key in ranked if settings[key] != "none"}


def _title(task: str, settings: Settings, every: Sequence[Settings]) -> str:
    """The task and a few settings, as many as no other group has."""
    for size in range(_SHOWN, len(settings)):
        title = _said(task, settings, size)
        if [_said(task, other, size) for other in every].count(title) == 1:
            return title
    return _said(task, settings, len(settings))


def _said(task: str, settings: Settings, size: int) -> str:
    shown = [f"{key}={text[:_LONGEST]}" for key, text in list(settings.items())[:size]]
    rest = len(settings) - len(shown)
    more = [f"{rest} more setting{'s' if rest > 1 else ''}"] if rest > 0 else []
    return ", ".join([task, *shown, *more])
