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
        first, second = line.target, line.source
        choices: list[Choice] = [lambda row: (row.source == row.target) == (second == MATCHING)]
        if not line.closing:  # a retrieval's row names its source first; others are means over encoders
            choices = [
                lambda row: (row.target, row.source) == (first, second),
                lambda row: (row.source, row.target) == (first, second),
                lambda row: row.source != row.target,
                lambda row: row.source == row.target,
            ]
        records = [self.records[number] for number in self.of(cell)]
        for chosen in choices:
            rows = [[r.value for r in one.rows if r.metric == measure.name and chosen(r)] for one in records]
            found = [mean_of(values) if values else math.nan for values in rows]
            if found and math.isclose(mean_of(found), cell.mean, rel_tol=1e-9):
                return found
        return []


def to_html(table: Table, runs: Runs) -> str:
    """Write a `<table>` and its notes, to stand inside a page; every name is escaped.

    The rows are one `<tbody>` and can be sorted, the means over them another, which stays below.

    Args:
        table: what is shown.
        runs: those of the page; a cell whose records are among them is a button that names them.
    """
    head = ""
    for name, column in zip(table.headings, [None, None, *table.columns], strict=True):
        kind = f'"number"{_of_method(column.method)}' if column else '"text"'
        head += f'<th scope="col" data-sort={kind}>{html.escape(name)}</th>'
    bodies = [
        _body(list(lines), table, runs, closing)
        for closing, lines in groupby(table.rows, key=lambda line: line.closing)
    ]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>\n' for note in table.notes("bold"))
    title = html.escape(table.title)
    small = "; small: the paper's" if table.beside else ""
    caption = f"<caption><span>{title}{small}</span></caption>"
    grid = f"<table>\n{caption}\n<thead><tr>{head}</tr></thead>\n{''.join(bodies)}</table>"
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">{grid}</div>\n{notes}'


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
    if numbers := runs.of(cell):  # a button opens the panel; the script finds the runs by their numbers
        values = " ".join(measure.text(value) for value in runs.values(cell, line, measure))
        named = f'data-runs="{" ".join(map(str, numbers))}"' + (f' data-values="{values}"' if values else "")
        shown = f'<button type="button" class="number" {named}>{shown}</button>'
    return f"<td{value}>{shown}{_beside(cell.beside, measure)}</td>"


def _beside(paper: Beside | None, measure: Measure) -> str:
    """Write the paper's number on its own line: `96.20 ± 0.30 (-1.20 ↓)`, with the words for who listens."""
    if paper is None:
        return ""
    text = measure.spread(paper.mean, paper.std)
    if paper.difference is not None:
        # The p-value is for who points at it; without a test the reason is.
        why = f"p = {paper.p:.2g}" if paper.p is not None else paper.reason
        name = paper.verdict.replace(" ", "-") or "untested"
        said = MARKS.get(paper.verdict, "") + _unseen(f" {paper.verdict or 'not tested'}")
        mark = f'<span class="{name}" title="{html.escape(why)}">{said}</span>'
        text += f" ({measure.signed(paper.difference)} {mark})"
    return f'<span class="paper">{_unseen("paper ")}{text}</span>'


def _unseen(text: str) -> str:
    return f'<span class="unseen">{text}</span>'
