"""conf/parallel: where the paired samples come from that anchors, P and the metric set need."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import Commit, Count, Kinds, Name, OpenShare, RepoId, Seed, Text, strict

# where_needed: not for samples that are parallel themselves
Use = Literal["always", "where_needed"]


@dataclass(frozen=True, config=strict)
class OwnParallel:
    """conf/parallel/own: the task's own samples are paired."""

    holds: ClassVar[tuple[str, ...]] = ()
    kind: Literal["own"]
    name: Name = "own"
    use: Use = "always"


@dataclass(frozen=True, config=strict)
class SubsetsParallel:
    """A data set with one subset per language, row n the same everywhere; or a local copy of it."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["subsets"]
    name: Name
    languages: dict[Name, Text]
    repo: RepoId | None = None
    revision: Commit | None = None
    columns: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["text"])
    splits: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["train"])
    key: Text | None = None
    root: Text | None = None
    limit: Count | None = None
    test_share: OpenShare = 0.1
    split_seed: Seed = 0
    param_batch: Count | None = None
    use: Use = "always"


@dataclass(frozen=True, config=strict)
class TableParallel:
    """conf/parallel/translated: a table of the user's, one column per language."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["table"]
    name: Name
    path: Text
    languages: dict[Name, Text]
    limit: Count | None = None
    test_share: OpenShare = 0.1
    split_seed: Seed = 0
    param_batch: Count | None = None
    use: Use = "always"


@dataclass(frozen=True, config=strict)
class FilesParallel:
    """One text file per language, line k the same sentence in each."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["files"]
    name: Name
    languages: dict[Name, Text]
    root: Text | None = None
    repo: RepoId | None = None
    revision: Commit | None = None
    limit: Count | None = None
    test_share: OpenShare = 0.1
    split_seed: Seed = 0
    param_batch: Count | None = None
    use: Use = "always"


PARALLEL = Kinds(
    "kind",
    {"own": OwnParallel, "subsets": SubsetsParallel, "table": TableParallel, "files": FilesParallel},
    room="relrep_exp.data",
)
ParallelConfig = Annotated[OwnParallel | SubsetsParallel | TableParallel | FilesParallel, PARALLEL]
