"""Keys that are the content: equal settings give the same key, any other value gives another."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

_EXACT = (str, int)  # a bool is an int, and JSON keeps the two apart
_SEQUENCES = (list, tuple)

# The steps to a value, innermost last; spelt out only for a message, as records have many thousand values.
_Place: TypeAlias = "tuple[_Place, str | int] | None"


def content_key(parts: Mapping[str, Any]) -> str:
    """Make the key of a result from everything that determines it.

    Args:
        parts: nested mappings, lists and tuples of str, int, float, bool and None.

    Returns:
        The first 24 hex characters of the SHA-256 of `canonical_json(parts)`.

    Raises:
        TypeError: `parts` is no mapping, or holds something whose identity JSON cannot express.
        ValueError: a float is NaN or infinite.
    """
    if not isinstance(parts, Mapping):
        raise TypeError(f"a key is made of a mapping, not of {type(parts).__name__}")
    return text_digest(canonical_json(parts))[:24]


def is_key(name: str) -> bool:
    """Tell whether `name` looks like a `content_key`."""
    return re.fullmatch(r"[0-9a-f]{24}", name) is not None


def require_key(key: str) -> str:
    """Return `key`; it becomes part of a path, so anything but a `content_key` is a ValueError."""
    if not is_key(key):
        raise ValueError(f"{key!r} is not a content key (24 lowercase hex characters)")
    return key


def canonical_json(obj: Any) -> str:
    """Write the one JSON text of `obj`: sorted keys, no spaces, ASCII.

    The order of a mapping does not matter, and a tuple is a list. The int 1 and the float 1.0 are
    different: as a size, 1 is one sample and 1.0 is all of them, and a needless second run costs less
    than a wrong reuse. -0.0 and 0.0 are the same.

    Raises:
        TypeError: a Path, a set, a mapping key that is not a str, or any other type; the message says where.
        ValueError: NaN or an infinity.
    """
    return json.dumps(_normal(obj, None), sort_keys=True, separators=(",", ":"), allow_nan=False)


def text_digest(text: str) -> str:
    """Hash `text` in UTF-8, SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """Hash a file, read in pieces, SHA-256 in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _normal(value: Any, where: _Place) -> Any:
    if value is None or isinstance(value, _EXACT):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_spell(where)}: {value} has no JSON form")
        return float(value) + 0.0  # the sum is 0.0 for -0.0
    if isinstance(value, _SEQUENCES):
        return [_normal(item, (where, index)) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_text_key(key, where): _normal(item, (where, key)) for key, item in value.items()}
    raise TypeError(f"{_spell(where)}: a {type(value).__name__} has no canonical JSON form: {value!r:.80}")


def _text_key(key: object, where: _Place) -> str:
    if not isinstance(key, str):  # json.dumps would quietly make "1" of 1
        raise TypeError(f"{_spell(where)}: the mapping key {key!r} is not a str")
    return key


def _spell(where: _Place) -> str:
    if where is None:
        return "value"
    outer, step = where
    return _spell(outer) + (f"[{step}]" if isinstance(step, int) else f".{step}")
