"""Sort records into comparisons: those that differ in nothing but method and seed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

# What makes a method, by the configuration's top-level key; the rest is the setting that methods share.
_METHOD_PARTS = frozenset({"method", "aligner", "anchors", "sim"})
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
    by_task: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=_order):
        by_task[record.task].append(record)
    groups = []
    for task, members in by_task.items():
        alike: dict[str, tuple[Settings, list[Record]]] = {}
        for record in members:
            shared, _ = _settings(record)
            alike.setdefault(json.dumps(shared), (shared, []))[1].append(record)
        told_apart = _varying([shared for shared, _ in alike.values()])
        found = [
            (_plain(_only(shared, told_apart) | variant), own)
            for shared, of_setting in alike.values()
            for variant, own in _variants(of_setting)
        ]
        every = [settings for settings, _ in found]
        groups += [Group(_title(task, settings, every), settings, own) for settings, own in found]
    return groups


def _order(record: Record) -> tuple[str, str, bool, float, str]:
    seed = record.config.get("seed")
    number = seed if isinstance(seed, int | float) else None
    return record.task, record.method, number is None, number or 0, record.key


def _settings(record: Record) -> tuple[Settings, Settings]:
    """Split a record's configuration into what methods share and what makes its method."""
    shared, parts = {}, {}
    for key, text in _flat(record.config).items():
        if key.split(".")[0] in _METHOD_PARTS:
            parts[key] = text
        elif key != "seed":
            shared[key] = text
    return shared, parts


def _variants(records: Sequence[Record]) -> list[tuple[Settings, tuple[Record, ...]]]:
    """Find the variants of the methods' parts, each with the records that fit it."""
    parts = [_settings(record)[1] for record in records]
    by_method: defaultdict[str, list[Settings]] = defaultdict(list)
    for record, part in zip(records, parts, strict=True):
        by_method[record.method].append(part)
    axes = {method: _varying(variants) for method, variants in by_method.items()}
    own = [_only(part, axes[record.method]) for record, part in zip(records, parts, strict=True)]
    points = [point for index, point in enumerate(own) if point not in own[:index]]
    found = []
    for point in points:
        # What another one completes (the same number of anchors, and a temperature) needs no own table.
        if not any(point.items() < other.items() for other in points):
            fits = [r for r, part in zip(records, own, strict=True) if part.items() <= point.items()]
            found.append((point, tuple(fits)))
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> Settings:
    """Flatten to dotted keys in alphabetical order, with values as JSON, so that any two can be compared."""
    flat: Settings = {}
    for key, value in sorted(config.items()):
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, sort_keys=True, default=str)
    return flat


def _varying(settings: Sequence[Settings]) -> list[str]:
    """Find the keys whose values are not the same in all settings; a missing key is a value, too."""
    keys = dict.fromkeys(key for setting in settings for key in setting)
    return [key for key in keys if len({setting.get(key) for setting in settings}) > 1]


def _only(settings: Settings, keys: Iterable[str]) -> Settings:
    return {key: settings.get(key, "none") for key in keys}


def _plain(settings: Settings) -> Settings:
    """Leave out quotes and keys that the group does not have; the most telling come first."""
    ranked = sorted(settings, key=lambda key: (not key.endswith("name"), key.count(".")))
    return {key: settings[key].replace('"', "") for key in ranked if settings[key] != "none"}


def _title(task: str, settings: Settings, every: Sequence[Settings]) -> str:
    """Name the task and a few settings, as many as no other group has."""

    def said(settings: Settings, size: int) -> str:
        shown = [f"{key}={text[:_LONGEST]}" for key, text in list(settings.items())[:size]]
        rest = len(settings) - len(shown)
        more = [f"{rest} more setting{'s' if rest > 1 else ''}"] if rest > 0 else []
        return ", ".join([task, *shown, *more])

    for size in range(_SHOWN, len(settings)):
        if [said(other, size) for other in every].count(said(settings, size)) == 1:
            return said(settings, size)
    return said(settings, len(settings))
