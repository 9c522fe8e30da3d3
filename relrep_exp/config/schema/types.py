"""Types with ranges that several parts of a configuration share."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field


def _full_commit(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", text):
        raise ValueError("a full commit has 40 hex digits; branches and tags move, null takes the newest")
    return text


strict = ConfigDict(extra="forbid", allow_inf_nan=False)

# What encoders read. Of texts each language is a view of its own, named by its code.
IMAGE = "image"
POINT = "point"
ENGLISH = "en"

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
ScalingName = Literal["std", "none", "per_feature"]
# owner/name on the hub, and a full commit there: a branch or a tag may move, 40 hex digits do not
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
Commit = Annotated[str, AfterValidator(_full_commit)]
