"""The numbers that the paper prints, for the tables of an experiment: paper/*.csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from relrep_exp.errors import nearest, user_error
from relrep_exp.report.tables.table import measure_of

SEEDS = 6

FOLDER = Path(__file__).parents[1] / "paper"
_TOGETHER = "+"


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
    """The tables that there are."""
    return sorted(path.stem for path in FOLDER.glob("table*.csv"))


@lru_cache
def paper_table(name: str) -> PaperTable:
    """The numbers of one table.

    Raises:
        UserError: there is no such table.
    """
    if name not in numbers():
        raise user_error(f"the paper has no numbers called {name}", nearest(name, numbers()))
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        (first, second, *_), *rows = csv.reader(file)
    values = {
        (one, other, method, metric): _value(metric, mean, std)
        for one, other, method, metric, mean, std in rows
    }
    return PaperTable((first, second), values)


def _value(metric: str, mean: str, std: str) -> PaperValue:
    scale = 100 if measure_of(metric).percent else 1
    return PaperValue(float(mean) / scale, float(std) / scale)
