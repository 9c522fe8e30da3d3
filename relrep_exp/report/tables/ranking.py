"""Which cells are marked: the best of a row, or of a column."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from relrep_exp.report.tables.table import Column, Line, Measure


def mark_best(line: Line, columns: Sequence[Column]) -> Line:
    """Mark the best cells besides those of `absolute`, which is not zero-shot; equal as printed is a tie.

    Columns that hold different measures are ranked apart, and only where a measure has a choice.
    """
    held = [line.measure_in(column) for column in columns]
    for measure in dict.fromkeys(held):
        if len(set(held)) > 1 and held.count(measure) == 1:
            continue
        rivals = {
            index: cell.mean
            for index, (cell, column) in enumerate(zip(line.cells, columns, strict=True))
            if cell and not column.own and held[index] == measure
        }
        line = with_best(line, winners(measure, rivals))
    return line


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
