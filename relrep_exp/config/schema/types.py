"""Types with ranges that several parts of a configuration share, and the kinds that its groups can be of."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from relrep_exp.ranges import Count as Count
from relrep_exp.ranges import NonNegative as NonNegative
from relrep_exp.ranges import OpenShare as OpenShare
from relrep_exp.ranges import Positive as Positive
from relrep_exp.ranges import Seed as Seed
from relrep_exp.ranges import Share as Share


def _full_commit(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", text):
        raise ValueError("a full commit has 40 hex digits; branches and tags move, null takes the newest")
    return text


strict = ConfigDict(extra="forbid", allow_inf_nan=False)

# What encoders read. Of texts each language is a view of its own, named by its code.
IMAGE = "image"
POINT = "point"
ENGLISH = "en"

Channels = Annotated[list[Count], Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
ScalingName = Literal["std", "none", "per_feature"]
# owner/name on the hub, and a full commit there: a branch or a tag may move, 40 hex digits do not
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
Commit = Annotated[str, AfterValidator(_full_commit)]


class Kinds(dict[str, type]):
    """Kind -> the class of its settings; more can be added while the program runs.

    Annotates the field of a configuration: which class validates a value is told by one of its keys.

    Args:
        key: that tells the kinds apart, `kind` or `name`.
        settings: those that are built in.
        room: the package where a kind may have a file of its own name, which registers it when imported.
        otherwise: the settings of every kind that is not named; None refuses such a kind.
        has: attributes of every class of settings, with what one that does not say is taken to have.
    """

    def __init__(
        self,
        key: str,
        settings: Mapping[str, type],
        room: str = "",
        otherwise: type | None = None,
        has: Mapping[str, Any] | None = None,
    ):
        super().__init__(settings)
        self.key, self.room, self.otherwise, self.has = key, room, otherwise, has or {}
        self.added = 0  # how often `add` was called: a schema that was built before is out of date

    def add(self, kind: str, settings: type) -> None:
        """Register the settings of a new kind.

        Raises:
            ValueError: there is another of that name.
        """
        known = self.get(kind)
        if known is not None and known.__module__ != settings.__module__:
            raise ValueError(f"{self.key}={kind} exists already: choose another name")
        for name, value in self.has.items():
            if not hasattr(settings, name):
                setattr(settings, name, value)
        self[kind] = settings
        self.added += 1

    def look_up(self, value: Any) -> None:
        """Import the file of a kind that nothing has registered yet, if the room has one of its name."""
        kind = self.kind_of(value)
        if self.room and kind and kind not in self and kind.isidentifier():
            name = f"{self.room}.{kind}"
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name)

    def kind_of(self, value: Any) -> str | None:
        """Read the kind of some values, typed or not; None where they do not say."""
        kind = value.get(self.key) if isinstance(value, Mapping) else getattr(value, self.key, None)
        if kind is None or kind in self or self.otherwise is None:
            return kind if kind is None else str(kind)
        return ""  # the others' settings stand under a name that nobody can choose

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A union whose members are looked up when the schema is built, not when the class is written."""
        members = {**self, **({"": self.otherwise} if self.otherwise is not None else {})}
        choices = {kind: handler.generate_schema(settings) for kind, settings in members.items()}
        return core_schema.tagged_union_schema(choices, self.kind_of)


@dataclass(frozen=True)
class Registry:
    """What makes, reads or does each kind of a group of the configuration.

    Attributes:
        kinds: the settings of each kind.
        functions: kind -> its function, or "module:function" or "module", imported when it is asked for.
    """

    kinds: Kinds
    functions: dict[str, Any]

    def __getitem__(self, kind: str) -> Any:
        """Find the function of a kind."""
        return resolve(self.functions[kind])

    def register(self, kind: str, settings: type) -> Callable[[Any], Any]:
        """Register a function and the class of its settings as a new kind.

        Raises:
            ValueError: there is another of that name.
        """

        def add(function: Any) -> Any:
            self.kinds.add(kind, settings)
            self.functions[kind] = function
            return function

        return add


def resolve(name: Any) -> Any:
    """Import what is called "module:function" or "module"; what is no name is itself."""
    if not isinstance(name, str):
        return name
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    return getattr(found, function) if function else found
