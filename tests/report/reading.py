"""Read a table as its files and the terminal show it."""

from __future__ import annotations

import csv
import io

from relrep_exp.report.render.formats import to_csv, to_markdown
from relrep_exp.report.render.terminal import to_terminal


def csv_of(table):
    """The rows of the CSV."""
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def markdown_row(table, *names):
    """The row of the Markdown table with these two names, without the marks of the best."""
    start = f"| {' | '.join(names)} |"
    return next(line for line in to_markdown(table).splitlines() if line.startswith(start))


def note_of(table):
    """The lines below the table as one."""
    return " ".join(table.notes("bold"))


def terminal(table, stream=None):
    """What a terminal shows."""
    stream = stream or io.StringIO()
    to_terminal(table, stream)
    return stream.getvalue()
