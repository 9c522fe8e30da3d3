"""JSON files that know whether they are intact: schema, fields, checksum."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from relrep_exp.store.keys import canonical_json, text_digest

_MINUS_ZERO = re.compile(r"-0\.0(?!\d)")


class CorruptError(Exception):
    """What is stored is not what was written."""


class OtherSchemaError(Exception):
    """What is stored was written by another version of the package."""

    def __init__(self, found: int, expected: int):
        self.found, self.newer = found, found > expected
        super().__init__(f"it has schema {found}, and this version reads schema {expected}")


def seal(fields: Mapping[str, Any]) -> str:
    """The JSON text of `fields`, one a line, and of the SHA-256 of their canonical JSON as `checksum`."""
    sealed = {**fields, "checksum": text_digest(canonical_json(fields))}
    lines = [f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in sealed.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def unseal(text: str | bytes, schema: int) -> dict[str, Any]:
    """The fields that were sealed, without the checksum.

    Raises:
        OtherSchemaError: `schema` is another one; its checksum is not looked at, as its rules may differ.
        CorruptError: no JSON object, or not with the content that was sealed.
    """
    try:
        fields = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise CorruptError(f"it is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CorruptError("it is not a JSON object")
    found = fields.get("schema")
    if isinstance(found, int) and found != schema:
        raise OtherSchemaError(found, schema)
    if fields.pop("checksum", None) != text_digest(_canonical(fields, text)):
        raise CorruptError("its checksum does not match its content")
    return fields


def _canonical(fields: dict[str, Any], text: str | bytes) -> str:
    """The canonical JSON of what was parsed from `text`, three times faster than of just anything.

    A parser returns nothing that canonical JSON does not know, and nothing that it writes otherwise but -0.0.
    """
    if _MINUS_ZERO.search(text if isinstance(text, str) else text.decode(errors="replace")):
        return canonical_json(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
