"""Papers' numbers beside ours: the difference, a test of whether it is noise, and what is only cited."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.paper_numbers import FOLDER, SEEDS, PaperTable, PaperValue, paper_table
from relrep_exp.report.tables.run_table import MATCHING
from relrep_exp.report.tables.table import (
    HIGHER,
    LOWER,
    MARKS,
    WITHIN,
    Beside,
    Cell,
    Column,
    Line,
    Table,
    mean_of,
    measure_of,
)

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig, PaperConfig
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

ALPHA = 0.05
_FILE = FOLDER / "lst.csv"
_PAPER = "arXiv:2311.00664"
_COUNTS = {"anchors": "anchors", "mean_norm": "(mean norm)"}  # what no method has
_SCALINGS = {"standard scaling": "standard", "L2 normalization": "l2"}


def beside_paper(table: Table, experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """The table with the paper's number in every cell that has one.

    On the paper's data and encoders each is compared with ours. On others the means alone are shown, for
    orientation, and nothing is concluded.

    Raises:
        UserError: the paper has no such numbers.
    """
    if experiment.paper is None:
        return table
    paper = paper_table(experiment.paper.numbers)
    same = all(is_papers(experiment.paper, paper, point.record) for point in points)
    if table.fields != paper.fields:  # one number over encoders
        same = same and set(experiment.encoders) == paper.encoders
    add = partial(_line, table=table, paper=paper, same=same)
    rows = tuple(add(line) for line in table.rows)
    told = [cell.beside for line in rows for cell in line.cells if cell and cell.beside]
    if not told:
        return table
    if not same:
        remark = "Not the paper's data and encoders: its means are for orientation, nothing is concluded."
        legend = f"Under ours: the paper's mean ({experiment.paper.numbers})."
        return replace(table, rows=rows, beside=legend, remarks=(*table.remarks, remark))
    remarks = (*table.remarks, *_untested(told), *_without(paper, points))
    return replace(table, rows=rows, beside=_legend(told), remarks=remarks)


def is_papers(config: PaperConfig, paper: PaperTable, record: Record) -> bool:
    """Whether a run is on the paper's data with its encoders, pretrained and not trained here.

    Encoders that the paper does not have may be among them.
    """
    views = _views(record.config.get("data"))
    if not all(view.get("name") == config.data and _fits(config, view) for view in views):
        return False
    encoders = record.config.get("encoders") or {}
    shared = paper.encoders & encoders.keys()
    # What was trained here is told by its settings, what is pretrained by its weights: a commit, or files.
    return bool(shared) and all("encoder" not in encoders[name] for name in shared)


def verdict(ours: Cell, paper: PaperValue) -> Beside:
    """Welch's t-test of two means from their standard deviations and numbers of seeds, two-sided.

    The verdict is `within noise` unless p < ALPHA; one cell is tested as if there were no others. Where there
    is nothing to test, the reason says why.
    """
    told = Beside(paper.mean, paper.std, paper.n, None if ours.missing else ours.mean - paper.mean)
    if reason := _no_test(ours, paper):
        return replace(told, reason=reason)
    from scipy.stats import ttest_ind_from_stats  # half a second, which tables without a test do not pay

    found = ttest_ind_from_stats(
        ours.mean, ours.std, ours.n, paper.mean, paper.std, paper.n, equal_var=False, alternative="two-sided"
    )
    p = float(found.pvalue)
    ruled = WITHIN if p >= ALPHA else HIGHER if ours.mean > paper.mean else LOWER
    return replace(told, verdict=ruled, p=p)


def _no_test(ours: Cell, paper: PaperValue) -> str:
    """Why the two cannot be tested; empty where they can."""
    if ours.missing:
        return "no value of ours"
    if not math.isfinite(ours.mean):
        return "ours is no finite number"
    if ours.n < 2:
        return "one seed of ours"
    if math.isnan(paper.std):
        return "the paper states no std"
    return "both stds are zero" if ours.std == paper.std == 0 else ""


def _line(line: Line, table: Table, paper: PaperTable, same: bool) -> Line:
    cells = tuple(
        None if cell is None else replace(cell, beside=_beside(cell, column, line, table, paper, same))
        for cell, column in zip(line.cells, table.columns, strict=True)
    )
    return replace(line, cells=cells)


def _beside(
    cell: Cell, column: Column, line: Line, table: Table, paper: PaperTable, same: bool
) -> Beside | None:
    """What the paper has for one cell of ours."""
    key = (column.method, line.measure_in(column).name)
    if line.closing:
        return _mean_beside(cell, key, line.source, table, paper, same)
    # A row of metrics is a mean over encoders, for which the paper states one number.
    place = (line.target, line.source) if table.fields == paper.fields else paper.places[0]
    value = paper.values.get((*place, *key))
    if value is None:
        return None
    if same:
        return verdict(cell, value)
    return Beside(value.mean, math.nan, value.n) if table.fields != paper.fields else None


def _mean_beside(
    cell: Cell, key: tuple[str, str], kind: str, table: Table, paper: PaperTable, same: bool
) -> Beside | None:
    """The mean of the paper's means over the pairs of one kind, whose std it does not state.

    It is over the rows above where these are the paper's, else over all of the paper's.
    """
    places = [place for place in paper.places if (place[0] == place[1]) == (kind == MATCHING)]
    rows = [(line.target, line.source) for line in table.rows if not line.closing]
    ours = [row for row in rows if (row[0] == row[1]) == (kind == MATCHING)]
    alike = same and set(ours) <= set(places)
    over = ours if alike and ours else places
    values = [value.mean for place in over if (value := paper.values.get((*place, *key)))]
    if not values:
        return None
    mean = PaperValue(mean_of(values), math.nan)
    return verdict(cell, mean) if alike else Beside(mean.mean, mean.std, mean.n)


def _views(data: Any) -> list[dict[str, Any]]:
    """The settings of the samples as each encoder reads them, as a record holds them."""
    values = [view for view in (data or {}).values() if isinstance(view, dict)]
    return values or [data or {}]


def _fits(config: PaperConfig, view: dict[str, Any]) -> bool:
    return all(view.get(key) == value for key, value in config.settings.items())


def _legend(told: Sequence[Beside]) -> str:
    """What stands under a cell, and how it was tested."""
    what = f"Under ours: the paper's mean ± std ({SEEDS} seeds)"
    if all(one.difference is None for one in told):
        return f"{what}."
    what = f"{what}, then ours less the paper's"
    tests = sum(bool(one.verdict) for one in told)
    if not tests:
        return f"{what}."
    marks = f"{MARKS[WITHIN]} within noise, {MARKS[HIGHER]} ours is higher, {MARKS[LOWER]} ours is lower"
    test = f"Welch's t-test from means, stds and n, two-sided, alpha = {ALPHA}"
    return f"{what}: {marks} by {test}, not corrected for the number of cells ({tests} tested)."


def _untested(told: Sequence[Beside]) -> list[str]:
    """How many values have no test, by reason; where ours is missing, its cell says so."""
    reasons = [one.reason for one in told if one.reason and one.difference is not None]
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    return [f"No test: {', '.join(f'{reason} ({n})' for reason, n in counts.items())}."] if counts else []


def _without(paper: PaperTable, points: Sequence[Point]) -> list[str]:
    """Encoders of the paper that our runs do not have, on which anchors may have been learned there."""
    lacking = {name for point in points for name in paper.encoders - point.record.config["encoders"].keys()}
    return [f"Ours is without {', '.join(sorted(lacking))}, which the paper has."] if lacking else []


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
    rows = tuple(_cited_line(line, table, numbers, experiment, points) for line in table.rows)
    remark = f"{_PAPER} states: {'; '.join(map(str, numbers))}."
    table = replace(table, rows=rows, remarks=(*table.remarks, remark))
    if not any(cell.beside for line in rows for cell in line.cells if cell):
        return table
    legend = f"Under ours: what {_PAPER} states, a mean over encoders of its own, for orientation alone."
    return replace(table, beside=legend)


def _cited_line(
    line: Line,
    table: Table,
    numbers: Sequence[Cited],
    experiment: ExperimentConfig,
    points: Sequence[Point],
) -> Line:
    data = line.target if experiment.x == "data" else _data(points)
    cells = [
        _cited_cell(cell, [one for one in numbers if one.stands_for(line, column, data, experiment.x)])
        for cell, column in zip(line.cells, table.columns, strict=True)
    ]
    return replace(line, cells=tuple(cells))


def _cited_cell(cell: Cell | None, numbers: Sequence[Cited]) -> Cell | None:
    if cell is None or not numbers:
        return cell
    return replace(cell, beside=Beside(float(numbers[0].value), math.nan, 0))


def _data(points: Sequence[Point]) -> str:
    """The name of the data that all runs share; "" where there is no one name."""
    views = [view for point in points for view in (point.record.config.get("data") or {}).values()]
    names = {view.get("name", "") if isinstance(view, dict) else "" for view in views}
    return names.pop() if len(names) == 1 else ""
