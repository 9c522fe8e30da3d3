"""Mark the best cells of a table, and all that noise does not tell from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from relrep_exp.report.tables.noise import (
    ALPHA,
    ENOUGH_SEEDS,
    PAIRS,
    SAMPLES,
    SEEDS,
    Test,
    holm,
    interquartile_mean,
    is_testable,
    paired_test,
)
from relrep_exp.report.tables.run_table import OFF_DIAGONAL

if TYPE_CHECKING:
    from relrep_exp.report.tables.measures import Measure
    from relrep_exp.report.tables.table import Cell, Column, Line, Table

Place = tuple[int, int]  # row and column


class Contest(NamedTuple):
    """Cells of one measure, of which the best is sought.

    Attributes:
        measure: what they hold.
        places: where they are.
        closing: whether they are means over the other rows.
    """

    measure: Measure
    places: tuple[Place, ...]
    closing: bool


def contests_of_rows(lines: Sequence[Line], columns: Sequence[Column]) -> list[Contest]:
    """List the contests within rows, without `absolute`, which is not zero-shot.

    Columns that hold different measures are ranked apart, and only where a measure has a choice.
    """
    found = []
    for row, line in enumerate(lines):
        held = [line.measure_in(column) for column in columns]
        for measure in dict.fromkeys(held):
            if len(set(held)) > 1 and held.count(measure) == 1:
                continue
            rivals = [n for n, column in enumerate(columns) if held[n] == measure and not column.own]
            found.append(Contest(measure, tuple((row, n) for n in rivals), line.closing))
    return found


def mark_best(
    lines: Sequence[Line], contests: Sequence[Contest], per: str = "row"
) -> tuple[tuple[Line, ...], str]:
    """Mark the best cell of every contest, and those that a paired test does not tell from it.

    Every other cell is compared with the best one, with Holm's correction over all comparisons of the table's
    rows, and over those of its closing rows: these are what a table is about, and few. The best is chosen by
    the numbers that it is tested with, so that p is a little too small. Cells with too few numbers for a test
    are not ranked. What is equal as printed is a tie.

    Args:
        lines: the rows.
        contests: what is ranked.
        per: what has a best.

    Returns:
        The rows with their marks, and what a mark means; "" where nothing is marked.
    """
    cells = {(r, c): cell for r, line in enumerate(lines) for c, cell in enumerate(line.cells) if cell}
    won: set[Place] = set()
    tests: dict[bool, dict[Place, Test]] = {False: {}, True: {}}
    for measure, places, closing in contests:
        rivals = {place: cells[place] for place in places if place in cells and is_testable(cells[place])}
        if not rivals or not measure.better:
            continue
        best = max(rivals, key=lambda place: measure.better * rivals[place].mean)
        for place, cell in rivals.items():
            if measure.text(cell.mean) == measure.text(rivals[best].mean):
                won.add(place)
            else:
                tests[closing][place] = paired_test(rivals[best], cell)
    for family in tests.values():
        for place, p in zip(family, holm([test.p for test in family.values()]), strict=True):
            cells[place] = replace(cells[place], p=p)
            if p >= ALPHA:
                won.add(place)
    marked = tuple(
        replace(line, cells=tuple(_marked(cells.get((r, c)), (r, c) in won) for c in range(len(line.cells))))
        for r, line in enumerate(lines)
    )
    return marked, _rule(per, [*tests[False].values()], [*tests[True].values()]) if won else ""


def _marked(cell: Cell | None, best: bool) -> Cell | None:
    return replace(cell, best=True) if cell and best else cell


def _rule(per: str, rows: Sequence[Test], means: Sequence[Test]) -> str:
    """Say what a mark means."""
    rule = f"best per {per} besides absolute"
    if not rows and not means:
        return rule
    found = {test.unit for test in [*rows, *means]}
    units = ", else over ".join(unit for unit in (SEEDS, PAIRS, SAMPLES) if unit in found)
    of = " and ".join([f"{len(rows)} comparisons"] * bool(rows) + [f"{len(means)} of means"] * bool(means))
    rule += f", and what a paired test{f' over {units}' if units else ''} does not tell from it (two-sided, "
    return f"{rule}alpha = {ALPHA}, Holm's correction over {of})"


def with_uncertainty(table: Table) -> Table:
    """Say what is not ranked, how far test samples move cells, and interquartile means off the diagonal."""
    errors: dict[Measure, list[float]] = {}
    means: list[str] = []
    few = False
    for line in table.rows:
        for cell, column in zip(line.cells, table.columns, strict=True):
            if cell is None:
                continue
            measure = line.measure_in(column)
            few = few or bool(measure.better and cell.n and not column.own and not is_testable(cell))
            if not math.isnan(cell.error):
                errors.setdefault(measure, []).append(cell.error)
            if line.source == OFF_DIAGONAL and measure.better and (found := interquartile_mean(cell)):
                middle, low, high = map(measure.text, found)
                means.append(f"{column.label} {middle} [{low}, {high}]")
    told = []
    if few:
        told.append(f"Not ranked, too few to test: under {ENOUGH_SEEDS} seeds of a pair, one seed of a mean.")
    if errors:
        spans = (f"{m.label} {m.text(min(e))} to {m.text(max(e))}" for m, e in errors.items())
        told.append(f"Standard error over test samples, which no seed changes: {', '.join(spans)}.")
    if means:
        told.append(f"IQM over pairs and seeds [95 % bootstrap interval], off-diagonal: {', '.join(means)}.")
    return replace(table, uncertainty=tuple(told))
