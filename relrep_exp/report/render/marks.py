"""What is marked and said in any table: the best of a row, and how many seeds there are."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from relrep_exp.report.measures import Measure
from relrep_exp.report.tables.cells import Column, Line, Table


def mark_best(line: Line, columns: Sequence[Column]) -> Line:
    """Mark the best cells besides those of `absolute`, which is not zero-shot; equal as printed is a tie.

    Columns that hold different measures are ranked apart, and only where a measure has a choice.
    """
    held = [line.measure_in(column) for column in columns]
    measures = dict.fromkeys(held)
    ranked = [one for one in measures if len(measures) == 1 or held.count(one) > 1]
    for measure in ranked:
        line = _marked(line, columns, measure)
    return line


def _marked(line: Line, columns: Sequence[Column], measure: Measure) -> Line:
    """The same with the best cells of one measure."""
    rivals = {
        index: cell.mean
        for index, (cell, column) in enumerate(zip(line.cells, columns, strict=True))
        if cell and not column.own and line.measure_in(column) == measure
    }
    return with_best(line, winners(measure, rivals))


def winners(measure: Measure, means: Mapping[int, float]) -> set[int]:
    """Which of these numbers are the best, equal as printed; none where the measure is no score."""
    finite = [mean for mean in means.values() if math.isfinite(mean)]
    if not finite or not measure.better:
        return set()
    best = measure.text(max(finite, key=lambda mean: measure.better * mean))
    return {index for index, mean in means.items() if measure.text(mean) == best}


def with_best(line: Line, won: Collection[int]) -> Line:
    """The line with the cells at these places marked."""
    marked = (replace(c, best=True) if c and index in won else c for index, c in enumerate(line.cells))
    return replace(line, cells=tuple(marked))


def seeds_legend(table: Table, what: str) -> str:
    """What a cell holds: how many seeds of what, e.g. `mean ± std over 3 seeds, weighted F1 in %`."""
    counts = {cell.n for line in table.rows for cell in line.cells if cell and cell.n}
    if not counts:
        return "no values"
    if counts == {1}:
        return f"one seed, {what}"
    if len(counts) == 1:
        return f"mean ± std over {table.seeds} seeds, {what}"
    return f"mean ± std over {table.seeds} seeds (n where it is fewer), {what}"
