"""A table as terminal output, Markdown, CSV, LaTeX and HTML."""

from __future__ import annotations

import csv
import html
import io
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from relrep_exp.report.cells import Cell, Column, Line, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

TERMINAL_WIDTH = 100
BLANK = "-"

_NAME_WIDTH = 12
_HEADING_WIDTH = 12
_COLUMN_GAP = 2

_MARKDOWN_SPECIAL = re.compile(r"([\\`*<>|\[\]])")
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}


def cell_text(cell: Cell | None, line: Line, column: Column, table: Table) -> str:
    """`89.59 ± 0.19`; the mean alone for one seed; in brackets what else there is to say.

    That is the difference to the base, and `n=2` where the column's other cells have more seeds.
    """
    if cell is None:
        return BLANK
    measure = line.measure_in(column)
    spread = measure.text(cell.std)
    text = measure.text(cell.mean) + (f" ± {spread}" if spread != "nan" else "")
    aside = ["default"] if cell.default else []
    if cell.change is not None and not cell.default:
        aside.append(measure.signed(cell.change))
    if cell.n != table.seeds_of(column):
        aside.append(f"n={cell.n}")
    return f"{text} ({', '.join(aside)})" if aside else text


def headings(table: Table) -> list[str]:
    """The header; a column with fewer seeds than the others says how many."""
    counts = [0, 0, *(table.seeds_of(column) for column in table.columns)]
    return [
        f"{name} (n={n})" if 0 < n < table.seeds else name
        for name, n in zip(table.header, counts, strict=True)
    ]


def to_terminal(table: Table, stream: TextIO | None = None) -> None:
    """Print the table to the stream (default: standard output); plain text if that is no terminal.

    The best cells carry a `*`, so that they are found without colours as well. Names fold to fit the width,
    numbers are never cut: if they alone are wider than the terminal, the table is printed wider.
    """
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = TERMINAL_WIDTH
    grid = _rich_table(table, console)
    numbers = sum((column.width or 0) + _COLUMN_GAP for column in grid.columns)
    console.width = max(console.width, numbers + 2 * _NAME_WIDTH)
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
    names = headings(table)
    rows = [
        [_terminal_cell(cell, text, table, console) for cell, text in _texts(line, table)]
        for line in table.rows
    ]
    for name in names[:2]:
        grid.add_column(name, overflow="fold")
    for name, *texts in zip(map(_short_lines, names[2:]), *rows, strict=True):
        width = max(map(len, [*name.split("\n"), *(text.plain for text in texts)]))
        grid.add_column(Text(name), justify="right", width=width)
    for (target, line), cells in zip(_without_repeats(table), rows, strict=True):
        if line.closing and target:
            grid.add_section()
        grid.add_row(Text(target), Text(line.source), *cells)
    return grid


def _short_lines(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _HEADING_WIDTH)) or name


def _terminal_cell(cell: Cell | None, text: str, table: Table, console: Console) -> Text:
    from rich.text import Text

    best = cell is not None and cell.best
    mark = "*" if best else " " if table.ranking else ""
    short = text.replace(" ± ", "±").replace(" (", "(")
    return Text(_encodable(short, console) + mark, style="bold green" if best else "")


def _encodable(text: str, console: Console) -> str:
    return (
        text
        if console.encoding.startswith("utf")
        else text.replace("±", "+-").encode("ascii", "replace").decode()
    )


def to_markdown(table: Table) -> str:
    """A pipe table with the title above and the notes below."""
    names = [_markdown(name) for name in headings(table)]
    lines = [
        f"**{_markdown(table.title)}**",
        "",
        _pipes(names),
        _pipes([":--", ":--", *["--:"] * len(table.columns)]),
    ]
    for line in table.rows:
        cells = [
            _bold(cell, cell_text(cell, line, column, table), "**{}**")
            for cell, column in _cells(line, table)
        ]
        lines.append(_pipes([_markdown(line.target), _markdown(line.source), *cells]))
    return "\n".join([*lines, "", *(_markdown(note) + "  " for note in table.notes("bold"))]) + "\n"


def _pipes(fields: list[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _markdown(text: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text).replace("\n", " ")


def to_csv(table: Table) -> str:
    """One line per row and method, in full precision, as fractions.

    A cell without a value has n = 0 and empty fields. The closing rows are left out: a reader who averages a
    column must not average averages.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    compared = ["change", "default"] if table.compares else []
    writer.writerow([*table.fields, "method", "metric", "mean", "std", "n", *compared])
    for line in table.rows:
        for cell, column in [] if line.closing else _cells(line, table):
            numbers = [repr(cell.mean), repr(cell.std), cell.n] if cell else ["", "", 0]
            names = [line.target, line.source, column.method, line.measure_in(column).name]
            writer.writerow([*names, *numbers, *(_compared(cell) if compared else [])])
    return stream.getvalue()


def _compared(cell: Cell | None) -> list[str]:
    """The difference to the base, empty where there is none, and whether the setting is the base's."""
    if cell is None or cell.change is None:
        return ["", ""]
    return [repr(cell.change), str(int(cell.default))]


def to_latex(table: Table) -> str:
    """A floating table; it needs `booktabs` alone."""
    body = []
    for index, (target, line) in enumerate(_without_repeats(table)):
        rule = (r"\midrule" if line.closing else r"\addlinespace") if target and index else ""
        cells = [_bold(cell, _latex(text), r"\textbf{{{}}}") for cell, text in _texts(line, table)]
        body += [rule] * bool(rule) + [_ampersands([_latex(target), _latex(line.source), *cells])]
    caption = _latex(f"{table.title}; {table.note}")
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"\toprule",
            _ampersands([_latex(name) for name in headings(table)]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _ampersands(fields: list[str]) -> str:
    return " & ".join(fields) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(char, char) for char in text)


def to_html(table: Table) -> str:
    """A `<table>` and its notes, to stand inside a page; every name is escaped."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in headings(table))
    groups = [
        _html_group(target, list(lines), table)
        for target, lines in groupby(table.rows, key=lambda line: "" if line.closing else line.target)
    ]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>\n' for note in table.notes("bold"))
    caption = html.escape(table.title)
    top = f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
    return f"<table>\n{top}{''.join(groups)}</table>\n{notes}"


def _html_group(target: str, lines: list[Line], table: Table) -> str:
    name = html.escape(target or lines[0].target)
    first = f'<th scope="rowgroup" rowspan="{len(lines)}">{name}</th>'
    rows = []
    for line in lines:
        cells = "".join(
            f"<td>{_bold(cell, html.escape(text), '<strong>{}</strong>')}</td>"
            for cell, text in _texts(line, table)
        )
        rows.append(f'<tr>{first}<th scope="row">{html.escape(line.source)}</th>{cells}</tr>\n')
        first = ""
    opening = "<tbody>" if target else '<tbody class="closing">'
    return f"{opening}\n{''.join(rows)}</tbody>\n"


def _bold(cell: Cell | None, text: str, mark: str) -> str:
    return mark.format(text) if cell is not None and cell.best else text


def _cells(line: Line, table: Table) -> Iterator[tuple[Cell | None, Column]]:
    return zip(line.cells, table.columns, strict=True)


def _texts(line: Line, table: Table) -> Iterator[tuple[Cell | None, str]]:
    for cell, column in _cells(line, table):
        yield cell, cell_text(cell, line, column, table)


def _without_repeats(table: Table) -> Iterator[tuple[str, Line]]:
    """Each row with its first name, which is blank where the row above has it already."""
    above = None
    for line in table.rows:
        yield ("" if line.target == above else line.target), line
        above = line.target
