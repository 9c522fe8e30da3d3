"""Print what a run ended with, a table in the terminal, and what any rendering says in a cell."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from relrep_exp.report.tables.measures import mean_of, measure_of
from relrep_exp.report.tables.run_table import headline
from relrep_exp.report.tables.table import MARKS, Cell, Column, Line, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from relrep_exp.store.records import Record

TERMINAL_WIDTH = 100
BLANK = "-"

_NAME_WIDTH = 12
_HEADING_WIDTH = 12
_MISSING_WIDTH = 16
_FOLDED_NAME_WIDTH = 10  # where rows have two lines anyway
_COLUMN_GAP = 2
_ASCII = str.maketrans({"±": "+-", "≈": "=", "↑": ">", "↓": "<"})


def run_line(record: Record, number: int, seconds: float, fresh: bool) -> None:
    """Print a sweep's line: number, method, seed, the mean of its headline metric between encoders, time."""
    metric = headline([record])
    across = [row.value for row in record.rows if row.metric == metric and row.source != row.target]
    within = [row.value for row in record.rows if row.metric == metric and row.source == row.target]
    where, values = ("between", across) if across else ("within", within)
    took = f"{seconds:.1f} s" if fresh else "cached"
    name = "F1" if metric == "f1_weighted" else measure_of(metric).label
    score = f"{name} {where} encoders {measure_of(metric).text(mean_of(values)):>6}"
    print(f"#{number:<3} {record.method:<18} seed={record.config['seed']:<3} {score}   {took}", flush=True)


def run_report(table: Table, record: Record, path: Path, seconds: float, fresh: bool) -> None:
    """Print the table of a single run, and where its record is."""
    to_terminal(table)
    phases = ", ".join(f"{phase} {taken:.1f} s" for phase, taken in record.timings.items())
    print(
        f"computed in {seconds:.1f} s ({phases})" if fresh else "read from the record: nothing was computed"
    )
    print(f"record: {path}")


def cell_text(cell: Cell | None, line: Line, column: Column, table: Table) -> str:
    """Write `89.59 ± 0.19`; the mean alone for one seed; in brackets what else there is to say.

    That is the difference to the base, and `n=2` where the column's other cells have more seeds.
    """
    if cell is None:
        return BLANK
    if cell.missing:
        return cell.missing
    measure = line.measure_in(column)
    text = measure.spread(cell.mean, cell.std)
    aside = ["default"] if cell.default else []
    if cell.change is not None and not cell.default:
        aside.append(measure.signed(cell.change))
    if cell.n != table.seeds_of(column):
        aside.append(f"n={cell.n}")
    return f"{text} ({', '.join(aside)})" if aside else text


def paper_text(cell: Cell | None, line: Line, column: Column) -> str:
    """Write what stands under a cell: `89.59 ± 0.19 (+0.33 ≈)`, the paper's, our difference and the verdict.

    Empty where the paper has no number; without brackets where the two are not compared.
    """
    if cell is None or (beside := cell.beside) is None:
        return ""
    measure = line.measure_in(column)
    text = measure.spread(beside.mean, beside.std)
    if beside.difference is None:
        return text
    mark = f" {MARKS[beside.verdict]}" if beside.verdict else ""
    return f"{text} ({measure.signed(beside.difference)}{mark})"


def cells_of(line: Line, table: Table) -> Iterator[tuple[Cell | None, Column]]:
    """Pair each cell of a row with its column."""
    return zip(line.cells, table.columns, strict=True)


def without_repeats(table: Table) -> Iterator[tuple[str, Line]]:
    """Pair each row with its first name, which is blank where the row above has it already."""
    above = None
    for line in table.rows:
        yield ("" if line.target == above else line.target), line
        above = line.target


def to_terminal(table: Table, stream: TextIO | None = None) -> None:
    """Print the table to the stream (default: standard output); plain text if that is no terminal.

    The best cells carry a `*`, so that they are found without colours as well; the paper's numbers stand
    under ours. Names fold to fit the width, numbers are never cut: if they alone are wider than the terminal,
    the table is printed wider.
    """
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = TERMINAL_WIDTH
    grid = _rich_table(table, console)
    least = sum((column.width or column.min_width or 0) + _COLUMN_GAP for column in grid.columns)
    least -= 1  # the gap after the last column is its padding alone
    console.width = max(console.width, least)
    with console.capture() as captured:
        console.print(grid)
        for line in table.notes("*"):
            console.print(_encodable(line, console), style="dim", markup=False)
    # rich pads every line to its width, which is a nuisance in a log
    console.file.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def _rich_table(table: Table, console: Console) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    title = Text(_encodable(table.title, console), style="bold")
    grid = RichTable(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )
    fold = _FOLDED_NAME_WIDTH if table.beside else TERMINAL_WIDTH
    sources = [_wrapped(line.source, fold) for line in table.rows]
    names = [_wrapped(name, fold) for name in table.headings[:2]]
    for name, below in zip(names, ([line.target for line in table.rows], sources), strict=True):
        grid.add_column(name, overflow="fold", min_width=min(_NAME_WIDTH, _widest([name, *below])))
    rows = [
        [_rich_cell(cell, line, column, table, console) for cell, column in cells_of(line, table)]
        for line in table.rows
    ]
    for number, name in enumerate(table.headings[2:]):
        name = _wrapped(name, _HEADING_WIDTH, whole_words=False)
        width = _widest([name, *(row[number].plain for row in rows)])
        grid.add_column(Text(name), justify="right", width=width)
    for (target, line), source, cells in zip(without_repeats(table), sources, rows, strict=True):
        if line.closing and target:
            grid.add_section()
        grid.add_row(Text(target), Text(source), *cells)
    return grid


def _widest(texts: Iterable[str]) -> int:
    """Measure the longest line."""
    return max(len(part) for text in texts for part in text.split("\n"))


def _wrapped(name: str, width: int, whole_words: bool = True) -> str:
    return "\n".join(textwrap.wrap(name, width, break_long_words=not whole_words)) or name


def _rich_cell(cell: Cell | None, line: Line, column: Column, table: Table, console: Console) -> Text:
    """Write ours, and under it the paper's."""
    from rich.text import Text

    text = cell_text(cell, line, column, table)
    best = cell is not None and cell.best
    mark = "*" if best else " " if table.ranking else ""
    if cell is not None and cell.missing:
        text = "\n".join(textwrap.wrap(text, _MISSING_WIDTH))
    short = text.replace(" ± ", "±").replace(" (", "(")
    shown = Text(_encodable(short, console) + mark, style="bold green" if best else "")
    paper = paper_text(cell, line, column).replace(" ± ", "±").translate({ord(char): None for char in "()"})
    if not paper:
        return shown
    *numbers, verdict = paper.rsplit(" ", 1) if paper.endswith(tuple(MARKS.values())) else (paper, " ")
    under = Text(_encodable("".join([*numbers, verdict]), console), style="dim")
    return Text("\n").join([shown, under])


def _encodable(text: str, console: Console) -> str:
    if console.encoding.startswith("utf"):
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode()
