"""Put papers' numbers beside ours: the difference, a test of whether it is noise, and what is only cited."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relrep_exp.report.tables.measures import mean_of
from relrep_exp.report.tables.paper_numbers import (
    SEEDS,
    PaperTable,
    PaperValue,
    cited,
    not_the_papers,
    paper_table,
)
from relrep_exp.report.tables.run_table import MATCHING
from relrep_exp.report.tables.table import HIGHER, LOWER, MARKS, WITHIN, Beside, Cell, Column, Line, Table

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig, PaperConfig
    from relrep_exp.report.tables.paper_numbers import Cited
    from relrep_exp.report.tables.points import Point
    from relrep_exp.store.records import Record

ALPHA = 0.05
_CITED = "arXiv:2311.00664"
_SCALINGS = {"standard scaling": "standard", "L2 normalization": "l2"}


def beside_paper(
    table: Table, experiment: ExperimentConfig, points: Sequence[Point], changes: Sequence[str] = ()
) -> Table:
    """Put the paper's number into every cell that has one.

    On the paper's data and encoders each is compared with ours, and tested where every hyperparameter is the
    paper's, too. On others the means alone are shown, for orientation, and nothing is concluded.

    Args:
        table: ours.
        experiment: what it is of.
        points: its runs.
        changes: what was asked for besides the experiment as its file has it.

    Raises:
        UserError: the paper has no such numbers.
    """
    if experiment.paper is None:
        return table
    paper = paper_table(experiment.paper.numbers)
    same = all(_is_papers(experiment.paper, paper, point.record) for point in points)
    if table.fields != paper.fields:  # one number over encoders
        same = same and set(experiment.encoders) == paper.encoders
    why = _untested(experiment.paper, paper, points, changes) if same else ""
    rows = []
    for line in table.rows:
        cells: list[Cell | None] = []
        for cell, column in zip(line.cells, table.columns, strict=True):
            beside = _beside(cell, column, line, table, paper, same, why) if cell else None
            cells.append(cell and replace(cell, beside=beside))
        rows.append(replace(line, cells=tuple(cells)))
    told = [cell.beside for line in rows for cell in line.cells if cell and cell.beside]
    if not told:
        return table
    if not same:
        remark = "Not the paper's data and encoders: its means are for orientation, nothing is concluded."
        legend = f"Under ours: the paper's mean ({experiment.paper.numbers})."
        return replace(table, rows=tuple(rows), beside=legend, remarks=(*table.remarks, remark))
    remarks = list(table.remarks)
    # Where ours is missing its cell says so.
    reasons = [one.reason for one in told if one.reason and one.difference is not None]
    if reasons:
        counts = (f"{reason} ({reasons.count(reason)})" for reason in dict.fromkeys(reasons))
        remarks.append(f"No test: {', '.join(counts)}.")
    # Anchors may have been learned on these encoders there.
    lacking = {name for point in points for name in paper.encoders - point.record.config["encoders"].keys()}
    if lacking:
        remarks.append(f"Ours is without {', '.join(sorted(lacking))}, which the paper has.")
    return replace(table, rows=tuple(rows), beside=_legend(told), remarks=tuple(remarks))


def _is_papers(config: PaperConfig, paper: PaperTable, record: Record) -> bool:
    """Tell whether a run is on the paper's data with its encoders, pretrained and not trained here.

    Encoders that the paper does not have may be among them.
    """
    data = record.config.get("data") or {}
    views = [view for view in data.values() if isinstance(view, dict)] or [
        data
    ]  # one for each kind of reader
    wanted = {"name": config.data, **config.settings}
    if any(view.get(key) != value for view in views for key, value in wanted.items()):
        return False
    encoders = record.config.get("encoders") or {}
    shared = paper.encoders & encoders.keys()
    # What was trained here is told by its settings, what is pretrained by its weights: a commit, or files.
    return bool(shared) and all("encoder" not in encoders[name] for name in shared)


def _untested(config: PaperConfig, paper: PaperTable, points: Sequence[Point], changes: Sequence[str]) -> str:
    """Say why nothing is concluded on the paper's data and encoders: something else is not the paper's."""
    reasons = [config.open] if config.open else []
    if any(point.record.config["encoders"].keys() != paper.encoders for point in points):
        reasons.append("anchors were not chosen on the paper's encoders and no others")
    reasons += dict.fromkeys(said for point in points for said in not_the_papers(point.record))
    if changes:
        reasons.append("not as the experiment's file has it")
    return "; ".join(reasons)


def verdict(ours: Cell, paper: PaperValue, why: str = "") -> Beside:
    """Test two means by Welch's t-test from their standard deviations and numbers of seeds, two-sided.

    The verdict is `within noise` unless p < ALPHA; one cell is tested as if there were no others. Where there
    is nothing to test, or `why` says that there must be no test, the reason says why.
    """
    told = Beside(paper.mean, paper.std, paper.n, None if ours.missing else ours.mean - paper.mean)
    if ours.missing:
        return replace(told, reason="no value of ours")
    if why:
        return replace(told, reason=why)
    if not math.isfinite(ours.mean):
        return replace(told, reason="ours is no finite number")
    if ours.n < 2:
        return replace(told, reason="one seed of ours")
    if math.isnan(paper.std):
        return replace(told, reason="the paper states no std")
    if ours.std == paper.std == 0:
        return replace(told, reason="both stds are zero")
    from scipy.stats import ttest_ind_from_stats  # half a second, which tables without a test do not pay

    found = ttest_ind_from_stats(
        ours.mean, ours.std, ours.n, paper.mean, paper.std, paper.n, equal_var=False, alternative="two-sided"
    )
    p = float(found.pvalue)
    ruled = WITHIN if p >= ALPHA else HIGHER if ours.mean > paper.mean else LOWER
    return replace(told, verdict=ruled, p=p)


def _beside(
    cell: Cell, column: Column, line: Line, table: Table, paper: PaperTable, same: bool, why: str
) -> Beside | None:
    """Find what the paper has for one cell of ours."""
    key = (column.method, line.measure_in(column).name)
    if not line.closing:
        # A row of metrics is a mean over encoders, for which the paper states one number.
        place = (line.target, line.source) if table.fields == paper.fields else paper.places[0]
        value = paper.values.get((*place, *key))
        if value is None:
            return None
        if same:
            return verdict(cell, value, why)
        return Beside(value.mean, math.nan, value.n) if table.fields != paper.fields else None
    # The mean of the paper's means over the pairs of one kind: over the rows above where these are the
    # paper's, else over all of the paper's. It states no std of such a mean.
    matching = line.source == MATCHING
    places = [place for place in paper.places if (place[0] == place[1]) == matching]
    rows = [(one.target, one.source) for one in table.rows if not one.closing]
    ours = [row for row in rows if (row[0] == row[1]) == matching]
    alike = same and set(ours) <= set(places)
    over = ours if alike and ours else places
    values = [value.mean for place in over if (value := paper.values.get((*place, *key)))]
    if not values:
        return None
    mean = PaperValue(mean_of(values), math.nan)
    return verdict(cell, mean, why) if alike else Beside(mean.mean, mean.std, mean.n)


def _legend(told: Sequence[Beside]) -> str:
    """Say what stands under a cell, and how it was tested."""
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


def beside_cited(table: Table, experiment: ExperimentConfig, points: Sequence[Point]) -> Table:
    """Put what a paper states of the experiment's matter under the cells that it stands for, and in a remark.

    The paper's encoders are other ones, and it states neither deviations nor seeds: nothing is concluded.
    """
    numbers = cited(experiment.name)
    if not numbers:
        return table
    rows = []
    for line in table.rows:
        data = line.target if experiment.x == "data" else _data(points)
        cells = list(line.cells)
        for place, column in enumerate(table.columns):
            own = (one for one in numbers if _stands_for(one, line, column, data, experiment.x))
            if (cell := cells[place]) and (number := next(own, None)):
                cells[place] = replace(cell, beside=Beside(float(number.value), math.nan, 0))
        rows.append(replace(line, cells=tuple(cells)))
    remark = f"{_CITED} states: {'; '.join(map(str, numbers))}."
    table = replace(table, rows=tuple(rows), remarks=(*table.remarks, remark))
    if not any(cell.beside for line in rows for cell in line.cells if cell):
        return table
    legend = f"Under ours: what {_CITED} states, a mean over encoders of its own, for orientation alone."
    return replace(table, beside=legend)


def _stands_for(number: Cited, line: Line, column: Column, data: str, x: str | None) -> bool:
    """Tell whether a cell of a table of methods is of the same data, method, metric and scaling."""
    methods = number.methods.replace("-", "_").split()
    same = (data, column.measure.name) == (number.dataset.lower().replace(" ", "_"), number.metric)
    scaling = _SCALINGS.get(number.setting, line.target) if x == "aligner.scaling" else line.target
    return same and line.method in methods and scaling == line.target


def _data(points: Sequence[Point]) -> str:
    """Name the data that all runs share; "" where there is no one name."""
    views: list[Any] = [view for one in points for view in (one.record.config.get("data") or {}).values()]
    names = {view.get("name", "") if isinstance(view, dict) else "" for view in views}
    return names.pop() if len(names) == 1 else ""
