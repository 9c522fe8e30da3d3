"""conf/experiment: a set of runs, and the table and the figure that they end in."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from relrep_exp.config.schema.types import Name, strict

Values = Annotated[list[Any], Field(min_length=1)]
ProfileName = Literal["paper", "local"]


@dataclass(frozen=True, config=strict)
class PaperConfig:
    """The paper's numbers that stand beside ours: report/paper/NUMBERS.csv.

    They are compared, cell by cell, with runs on `data` by the encoders that the file names; `settings` are
    those that the data must have besides. Beside other runs only the paper's means are shown, and nothing is
    concluded; nor is it where `open` says what of the paper's setting cannot be had or is not stated.
    """

    numbers: Name
    data: Name
    settings: dict[str, Any] = field(default_factory=dict)
    open: str = ""


@dataclass(frozen=True, config=strict)
class ProfileConfig:
    """One form of an experiment: on the paper's data and encoders, or on what can be made anywhere.

    `set` holds overrides that every run gets; `axes` and `vary` replace the experiment's of the
    same key, `encoders`, `test_encoders` and `sources` those of the experiment. `note` says what stands in.
    """

    note: str = ""
    set: list[str] = field(default_factory=list)
    test_encoders: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    encoders: list[str] = field(default_factory=list)
    axes: dict[str, Values] = field(default_factory=dict)
    vary: dict[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, config=strict)
class ExperimentConfig:
    """Runs: every method at every point of the axes; beside them, one key of `vary` at a time is changed.

    `vary_of` gives a method variations of its own, which take the place of `vary`.
    `metrics` are those of a table or a figure that shows several, `x` is the axis that lines are drawn along.
    Where `encoders` are named, only what happens among them is shown; `test_encoders` and `sources` name
    those of a pair's one side alone. The runs have all of the zoo's.
    """

    name: Name
    title: str
    methods: Annotated[dict[str, list[str]], Field(min_length=1)]
    axes: dict[str, Values] = field(default_factory=dict)
    vary: dict[str, Values] = field(default_factory=dict)
    vary_of: dict[str, dict[str, Values]] = field(default_factory=dict)
    profiles: dict[ProfileName, ProfileConfig] = field(default_factory=dict)
    metric: str = "f1_weighted"
    metrics: list[str] = field(default_factory=list)
    encoders: list[str] = field(default_factory=list)
    test_encoders: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    paper: PaperConfig | None = None
    note: str = ""
    x: str | None = None
    table: Literal["pairs", "metrics", "axis", "methods", "variations"] = "pairs"
    figure: Literal[
        "samples",
        "lines",
        "tradeoff",
        "rescaling",
        "invariances",
        "spaces",
        "reconstructions",
        "sensitivity",
        "anchors",
    ] = "samples"

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if unknown := [name for name in self.vary_of if name not in self.methods]:
            raise ValueError(f"vary_of names what is none of its methods: {', '.join(unknown)}")
        along = self.table in ("axis", "methods") or self.figure in ("lines", "tradeoff")
        if (along or self.table == "metrics") and not self.metrics:
            raise ValueError(f"table={self.table} with figure={self.figure} needs metrics")
        if along and not any(
            self.x in axes for axes in [self.axes, *(p.axes for p in self.profiles.values())]
        ):
            raise ValueError(f"x={self.x} is none of its axes")
        return self
