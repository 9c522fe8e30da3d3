"""Read the numbers that papers print, for the tables of an experiment: paper/*.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import nearest, user_error
from relrep_exp.report.tables.measures import measure_of
from relrep_exp.store.files import CONF

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

SEEDS = 6

FOLDER = Path(__file__).parents[1] / "paper"
_TOGETHER = "+"
# What Table 5 states, by the groups of the configuration whose files have its numbers; m is the text's.
_TABLE_5 = {
    "aligner": ("shrinkage", "eps"),
    "anchors": (
        *("m", "temperature", "epochs", "lr", "batch", "nce_weight", "nce_temperature", "coverage_weight"),
        *("coverage_temperature", "orthogonality_weight", "length_weight"),
    ),
}
_COUNTS = {"anchors": "anchors", "mean_norm": "(mean norm)"}  # what no method has


@dataclass(frozen=True)
class PaperValue:
    """Mean and standard deviation over `n` seeds, fractions where the paper prints percentages."""

    mean: float
    std: float
    n: int = SEEDS


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        fields: what the two names of a place are, as in a CSV of ours.
        values: (first name, second name, method, metric) -> the number, in the paper's order.
    """

    fields: tuple[str, str]
    values: Mapping[tuple[str, str, str, str], PaperValue]

    @property
    def places(self) -> list[tuple[str, str]]:
        """The two names of every row."""
        return list(dict.fromkeys((first, second) for first, second, _, _ in self.values))

    @property
    def encoders(self) -> set[str]:
        """Every encoder; a name may stand for several, over which the paper states one number."""
        return {name for place in self.places for names in place for name in names.split(_TOGETHER)}


def numbers() -> list[str]:
    """List the tables that there are."""
    return sorted(path.stem for path in FOLDER.glob("table*.csv"))


@lru_cache
def paper_table(name: str) -> PaperTable:
    """Read the numbers of one table.

    Raises:
        UserError: there is no such table.
    """
    if name not in numbers():
        raise user_error(f"the paper has no numbers called {name}", nearest(name, numbers()))
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        (first, second, *_), *rows = csv.reader(file)
    values = {}
    for one, other, method, metric, mean, std in rows:
        factor = measure_of(metric).factor
        values[one, other, method, metric] = PaperValue(float(mean) / factor, float(std) / factor)
    return PaperTable((first, second), values)


def not_the_papers(record: Record) -> list[str]:
    """List the hyperparameters of a run that are not those of Table 5, or whose number of anchors differs."""
    method, found = record.config.get("method") or {}, []
    for group, keys in _TABLE_5.items():
        ours = method.get(group) or {}
        printed = _printed(group, ours["name"]) if ours else {}
        found += [
            f"{group}.{key}={ours[key]} instead of {printed[key]}"
            for key in keys
            if key in ours and key in printed and ours[key] != printed[key]
        ]
    return found


@lru_cache
def _printed(group: str, name: str) -> dict[str, Any]:
    """Read conf/GROUP/NAME.yaml, on top of the file that it begins with; {} where there is no such file."""
    from omegaconf import OmegaConf  # what has no numbers of a paper beside it does without

    path = CONF / group / f"{name}.yaml"
    values: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    for base in values.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            values = _printed(group, base) | values
    batch = str(values.get("batch"))
    if batch.startswith("${param_batch:"):  # the first argument is Table 5's
        values["batch"] = int(batch.removeprefix("${param_batch:").partition(",")[0])
    papers: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    for key, value in papers["geometry"].items():
        if values.get(key) == f"${{geometry.{key}}}":
            values[key] = value
    return dict(values)


@dataclass(frozen=True)
class Cited:
    """A number that a page states; over which encoders and decoders it is a mean, it does not say."""

    dataset: str
    setting: str
    methods: str
    metric: str
    value: str

    def __str__(self) -> str:
        of = f"{self.dataset}, {self.setting}" if self.dataset != "all" else self.setting
        if self.metric in _COUNTS:
            return f"{of} {self.value} {_COUNTS[self.metric]}"
        measure = measure_of(self.metric)
        value = f"{100 * float(self.value):g} %" if measure.percent else self.value
        return f"{of}, {self.methods.replace(' ', ', ')}: {measure.label} {value}"


@lru_cache
def cited(experiment: str) -> tuple[Cited, ...]:
    """Read what arXiv:2311.00664 states of the matter of an experiment."""
    with (FOLDER / "lst.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"] == experiment]
    return tuple(Cited(r["dataset"], r["setting"], r["method"], r["metric"], r["mean"]) for r in rows)
