"""The few numbers that arXiv:2311.00664 states, one a data set, for the tables of latent translation."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.report.measures import measure_of
from relrep_exp.report.tables.cells import Beside, Cell, Column, Line, Table

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point

_FILE = Path(__file__).parents[1] / "paper" / "lst.csv"
_PAPER = "arXiv:2311.00664"
_COUNTS = {"anchors": "anchors", "mean_norm": "(mean norm)"}  # what no method has
_SCALINGS = {"standard scaling": "standard", "L2 normalization": "l2"}


@dataclass(frozen=True)
class Cited:
    """One of them: over which encoders and decoders it is a mean, the paper's page does not say."""

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
        unit = " %" if measure.percent else ""
        value = f"{100 * float(self.value):g}" if measure.percent else self.value
        return f"{of}, {self.methods.replace(' ', ', ')}: {measure.label} {value}{unit}"

    def stands_for(self, line: Line, column: Column, data: str, x: str | None) -> bool:
        """Whether a cell of a table of methods is of the same data, method, metric and scaling."""
        methods = self.methods.replace("-", "_").split()
        same = (data, column.measure.name) == (self.dataset.lower().replace(" ", "_"), self.metric)
        scaling = _SCALINGS.get(self.setting, line.target) if x == "aligner.scaling" else line.target
        return same and line.method in methods and scaling == line.target


@lru_cache
def cited(experiment: str) -> tuple[Cited, ...]:
    """What the paper states of the matter of an experiment."""
    with _FILE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"] == experiment]
    return tuple(Cited(r["dataset"], r["setting"], r["method"], r["metric"], r["mean"]) for r in rows)


def beside_cited(table: Table, experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """The table with what the paper states: under the cells that it stands for, and all of it in a remark.

    The paper's encoders are other ones, and it states neither deviations nor seeds: nothing is concluded.
    """
    numbers = cited(experiment.name)
    if not numbers:
        return table
    rows = tuple(_line(line, table, numbers, experiment, points) for line in table.rows)
    remark = f"{_PAPER} states: {'; '.join(map(str, numbers))}."
    table = replace(table, rows=rows, remarks=(*table.remarks, remark))
    if not any(cell.beside for line in rows for cell in line.cells if cell):
        return table
    legend = f"Under ours: what {_PAPER} states, a mean over encoders of its own, for orientation alone."
    return replace(table, beside=legend)


def _line(
    line: Line,
    table: Table,
    numbers: Sequence[Cited],
    experiment: ExperimentConfig,
    points: Sequence[Point],
) -> Line:
    data = line.target if experiment.x == "data" else _data(points)
    cells = [
        _cell(cell, [one for one in numbers if one.stands_for(line, column, data, experiment.x)])
        for cell, column in zip(line.cells, table.columns, strict=True)
    ]
    return replace(line, cells=tuple(cells))


def _cell(cell: Cell | None, numbers: Sequence[Cited]) -> Cell | None:
    if cell is None or not numbers:
        return cell
    return replace(cell, beside=Beside(float(numbers[0].value), math.nan, 0))


def _data(points: Sequence[Point]) -> str:
    """The name of the data that all runs share; "" where there is no one name."""
    views = [view for point in points for view in (point.record.config.get("data") or {}).values()]
    names = {view.get("name", "") if isinstance(view, dict) else "" for view in views}
    return names.pop() if len(names) == 1 else ""
