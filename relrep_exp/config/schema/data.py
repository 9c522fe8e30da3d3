"""conf/data: the samples, their labels and their split.

What samples of a kind `holds` is images, texts or points: encoders that read something else are refused.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import (
    Commit,
    Count,
    Kinds,
    Name,
    NonNegative,
    OpenShare,
    Positive,
    RepoId,
    Seed,
    Text,
    strict,
)


class NamedSplits:
    """Samples in splits that have names."""

    train: str | list[str]
    test: str | list[str]

    def splits(self, part: Literal["train", "test"]) -> set[str]:
        """Name the splits that are trained on, or tested on."""
        names = getattr(self, part)
        return {names} if isinstance(names, str) else set(names)


@dataclass(frozen=True, config=strict)
class DigitsData:
    """conf/data/digits: scikit-learn's digits and their fixed stratified split."""

    holds: ClassVar[tuple[str, ...]] = ("images",)
    kind: Literal["digits"]
    name: Name = "digits"
    test_share: OpenShare = 0.2
    split_seed: Seed = 0
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class DescribedDigitsData:
    """conf/data/digits_described: the same digits in two views, the image and a text that renders it.

    A pixel counts as ink from `ink` on, of 255.
    """

    holds: ClassVar[tuple[str, ...]] = ("images", "texts")
    kind: Literal["digits_described"]
    name: Name = "digits_described"
    test_share: OpenShare = 0.2
    split_seed: Seed = 0
    ink: Annotated[int, Field(ge=1, le=255)] = 96
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class PrecomputedData:
    """conf/data/precomputed: labels and split come with the embeddings' file."""

    holds: ClassVar[tuple[str, ...]] = ()
    kind: Literal["precomputed"]
    name: Name = "precomputed"


@dataclass(frozen=True, config=strict)
class ImagesData(NamedSplits):
    """Labelled images: a data set of the hub, or a local copy of it in any of several formats."""

    holds: ClassVar[tuple[str, ...]] = ("images",)
    kind: Literal["images"]
    name: Name
    repo: RepoId | None = None
    revision: Commit | None = None
    subset: Text | None = None
    image: Text = "image"
    label: Text = "label"
    train: Text = "train"
    test: Text = "test"
    root: Text | None = None
    on_error: Literal["raise", "skip"] = "raise"
    limit: Count | None = None
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class CaptionedData(NamedSplits):
    """conf/data/n24news: images with texts, in tables of the user's own; both views have the same rows.

    `image` is the column of images, which `image_path` makes paths of, relative to `root`.
    """

    holds: ClassVar[tuple[str, ...]] = ("images", "texts")
    kind: Literal["captioned"]
    name: Name
    root: Text | None = None
    language: Name = "en"
    text: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["text"])
    image: Text = "image"
    image_path: Annotated[str, Field(pattern=r"\{\}")] = "{}"
    label: Text = "label"
    train: Text = "train"
    test: Text = "test"
    on_error: Literal["raise", "skip"] = "raise"
    limit: Count | None = None
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class TextsData(NamedSplits):
    """Labelled texts, one table per language; rows of different languages have nothing to do with each other.

    `languages` maps a language to its subset on the hub, which is also its folder or file in a local copy.
    """

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["texts"]
    name: Name
    languages: dict[Name, Text]
    repo: RepoId | None = None
    revision: Commit | None = None
    text: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["text"])
    label: Text = "label"
    labels: Literal["fine", "coarse"] = "fine"
    train: Text = "train"
    test: Text = "test"
    root: Text | None = None
    limit: Count | None = None
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class Sib200Data(NamedSplits):
    """SIB-200: the same sentences, with their topic, in every language."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["sib200"]
    name: Name
    languages: dict[Name, Text]
    repo: RepoId | None = None
    revision: Commit | None = None
    train: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["train", "dev"])
    test: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=lambda: ["test"])
    root: Text | None = None
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class TemplatesData:
    """conf/data/templates: distinct English sentences from a small grammar."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["templates"]
    name: Name
    train: Annotated[int, Field(ge=2, le=1_000_000)] = 3000
    test: Annotated[int, Field(ge=2, le=1_000_000)] = 300
    seed: Seed = 0
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class ReviewsData:
    """conf/data/template_reviews: made-up product reviews, the same ones in five languages."""

    holds: ClassVar[tuple[str, ...]] = ("texts",)
    kind: Literal["reviews"]
    name: Name
    train: Annotated[int, Field(ge=10)] = 4000
    test: Annotated[int, Field(ge=10)] = 1000
    labels: Literal["fine", "coarse"] = "coarse"
    seed: Seed = 0
    param_batch: Count | None = None


@dataclass(frozen=True, config=strict)
class ClustersData:
    """conf/data/clusters: made-up points of Gaussian clusters."""

    holds: ClassVar[tuple[str, ...]] = ("points",)
    kind: Literal["clusters"]
    name: Name
    dim: Count = 2
    clusters: Count = 5
    train: Annotated[int, Field(ge=2)] = 480
    test: Annotated[int, Field(ge=3)] = 120
    spread: NonNegative = 2.0
    width: Positive = 0.35
    seed: Seed = 21
    param_batch: Count | None = None


DATA = Kinds(
    "kind",
    {
        "digits": DigitsData,
        "digits_described": DescribedDigitsData,
        "precomputed": PrecomputedData,
        "images": ImagesData,
        "captioned": CaptionedData,
        "texts": TextsData,
        "sib200": Sib200Data,
        "templates": TemplatesData,
        "reviews": ReviewsData,
        "clusters": ClustersData,
    },
    room="relrep_exp.data",
    has={"holds": (), "param_batch": None},
)
DataConfig = Annotated[
    DigitsData
    | DescribedDigitsData
    | PrecomputedData
    | ImagesData
    | CaptionedData
    | TextsData
    | Sib200Data
    | TemplatesData
    | ReviewsData
    | ClustersData,
    DATA,
]
