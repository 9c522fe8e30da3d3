"""Write a table as HTML: sortable, and every number leads to the runs that it comes from."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from relrep_exp.report.render.terminal import BLANK, cell_text
from relrep_exp.report.tables.measures import Measure, mean_of
from relrep_exp.report.tables.run_table import MATCHING
from relrep_exp.report.tables.table import MARKS, Beside, Cell, Column, Line, Table

if TYPE_CHECKING:
    from relrep_exp.store.records import Record, Row

    Choice = Callable[[Row], bool]


@dataclass
class Runs:
    """The records of the page, each with its number there.

    Attributes:
        records: in the order of their numbers.
        numbers: by key.
    """

    records: Sequence[Record] = ()
    numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = {record.key: number for number, record in enumerate(self.records)}

    def of(self, cell: Cell) -> list[int]:
        """Find the numbers of the runs that a cell averages."""
        return [self.numbers[key] for key in cell.keys if key in self.numbers]

    def values(self, cell: Cell, line: Line, measure: Measure) -> list[float]:
        """Find the value of each of them; none where they do not average to the cell.

        A table may show a part of the pairs, or a mean over something else; what a cell says of its runs must
        not be guessed.
        """
        records = [self.records[number] for number in self.of(cell)]
        for chosen in _choices(line):
            found = [_mean_of_rows(record, measure.name, chosen) for record in records]
            if found and math.isclose(mean_of(found), cell.mean, rel_tol=1e-9):
                return found
        return []


def _choices(line: Line) -> list[Choice]:
    """List what a row of a table may stand for; a retrieval's names its source first."""
    first, second = line.target, line.source
    if line.closing:
        return [lambda row: (row.source == row.target) == (second == MATCHING)]
    return [
        lambda row: (row.target, row.source) == (first, second),
        lambda row: (row.source, row.target) == (first, second),
        lambda row: row.source != row.target,
        lambda row: row.source == row.target,
    ]


def _mean_of_rows(record: Record, metric: str, chosen: Choice) -> float:
    values = [row.value for row in record.rows if row.metric == metric and chosen(row)]
    return mean_of(values) if values else math.nan


def to_html(table: Table, runs: Runs | None = None) -> str:
    """Write a `<table>` and its notes, to stand inside a page; every name is escaped.

    The rows are one `<tbody>` and can be sorted, the means over them another, which stays below.

    Args:
        table: what is shown.
        runs: those of the page; a cell whose records are among them is a button that names them.
    """
    head = "".join(map(_heading, table.headings, [None, None, *table.columns]))
    known = runs or Runs()
    bodies = [
        _body(list(lines), table, known, closing)
        for closing, lines in groupby(table.rows, key=lambda line: line.closing)
    ]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>\n' for note in table.notes("bold"))
    title = html.escape(table.title)
    small = "; small: the paper's" if table.beside else ""
    caption = f"<caption><span>{title}{small}</span></caption>"
    grid = f"<table>\n{caption}\n<thead><tr>{head}</tr></thead>\n{''.join(bodies)}</table>"
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">{grid}</div>\n{notes}'


def _heading(name: str, column: Column | None) -> str:
    if column is None:
        return f'<th scope="col" data-sort="text">{html.escape(name)}</th>'
    return f'<th scope="col" data-sort="number"{_of_method(column.method)}>{html.escape(name)}</th>'


def _of_method(method: str) -> str:
    """Write what the filter goes by; nothing where rows or columns, the others, are those of methods."""
    return f' data-method="{html.escape(method)}"' if method else ""


def _body(lines: Sequence[Line], table: Table, runs: Runs, closing: bool) -> str:
    """Write rows that all say their first name, so that they may move; a repeated one is faint."""
    rows, above = [], None
    for line in lines:
        repeated = ' class="repeated"' if line.target == above else ""
        names = f'<th scope="row"{repeated}>{html.escape(line.target)}</th>'
        names += f'<th scope="row">{html.escape(line.source)}</th>'
        cells = "".join(
            _cell(cell, line, column, table, runs)
            for cell, column in zip(line.cells, table.columns, strict=True)
        )
        first = "" if repeated else " class=first"
        rows.append(f"<tr{first}{_of_method(line.method)}>{names}{cells}</tr>\n")
        above = line.target
    return f"<tbody{' class=closing' if closing else ''}>\n{''.join(rows)}</tbody>\n"


def _cell(cell: Cell | None, line: Line, column: Column, table: Table, runs: Runs) -> str:
    if cell is None:
        return f'<td class="none">{BLANK}</td>'
    measure = line.measure_in(column)
    if cell.missing:
        return f'<td class="missing">{html.escape(cell.missing)}{_beside(cell.beside, measure)}</td>'
    text = html.escape(cell_text(cell, line, column, table))
    shown = f"<strong>{text}</strong>" if cell.best else text
    value = "" if math.isnan(cell.mean) else f' data-value="{cell.mean:.8g}"'
    if own := runs.of(cell):
        values = [measure.text(value) for value in runs.values(cell, line, measure)]
        shown = _button(shown, own, values)
    return f"<td{value}>{shown}{_beside(cell.beside, measure)}</td>"


def _button(shown: str, numbers: Sequence[int], values: Sequence[str]) -> str:
    """Write what opens the panel; the script finds the runs by their numbers."""
    each = f' data-values="{" ".join(values)}"' if values else ""
    named = f'data-runs="{" ".join(map(str, numbers))}"'
    return f'<button type="button" class="number" {named}{each}>{shown}</button>'


def _beside(paper: Beside | None, measure: Measure) -> str:
    """Write the paper's number on its own line: `96.20 ± 0.30 (-1.20 ↓)`, with the words for who listens."""
    if paper is None:
        return ""
    spread = "" if math.isnan(paper.std) else f" ± {measure.text(paper.std)}"
    ours = "" if paper.difference is None else f" ({measure.signed(paper.difference)}{_verdict(paper)})"
    return f'<span class="paper">{_unseen("paper ")}{measure.text(paper.mean)}{spread}{ours}</span>'


def _verdict(paper: Beside) -> str:
    """Write the mark with its word, and the p-value for who points at it; or why there was no test."""
    why = f"p = {paper.p:.2g}" if paper.p is not None else paper.reason
    name = paper.verdict.replace(" ", "-") or "untested"
    said = MARKS.get(paper.verdict, "") + _unseen(f" {paper.verdict or 'not tested'}")
    return f' <span class="{name}" title="{html.escape(why)}">{said}</span>'


def _unseen(text: str) -> str:
    return f'<span class="unseen">{text}</span>'
