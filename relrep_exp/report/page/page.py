"""One self-contained page with every experiment, and every comparison that the other records allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.report.page.embedded import embedded
from relrep_exp.report.page.sections import Section, sections_of
from relrep_exp.report.tables.seeds import Runs
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.errors import Problem
    from relrep_exp.report.page.stores import Library
    from relrep_exp.store.records import Record

FILL_COMMAND = "python run.py experiment=demo"

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class RunLine:
    """One line of the list of all runs."""

    key: str
    task: str
    method: str
    seed: str
    started: str
    seconds: str
    device: str
    command: str


@dataclass(frozen=True)
class Page:
    """What the template shows.

    Attributes:
        folders: the outputs folders that were read.
        built: when, in UTC.
        fill_command: what to run where there is no record.
        tasks: of all records.
        methods: in the columns of all tables.
        sections: a table each.
        runs: all records.
        problems: what is wrong with the store.
        data: the provenance of all records, as JSON.
    """

    folders: list[str]
    built: str
    fill_command: str
    tasks: list[str]
    methods: list[str]
    sections: list[Section]
    runs: list[RunLine]
    problems: list[Problem]
    data: str


def build(found: Library, folder: Path) -> tuple[Path, list[Problem]]:
    """Write `index.html`; without records, a page that says what to run.

    Args:
        found: what is shown.
        folder: where the page goes.

    Returns:
        Its path, and everything that was wrong with the store or could not be shown.

    Raises:
        UserError: the folder cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    page = _page(found)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    parts = {
        "style": Markup((_TEMPLATES / "page.css").read_text()),
        "script": Markup((_TEMPLATES / "page.js").read_text()),
        "data": Markup(page.data),
    }
    path = folder / "index.html"
    write_atomic(path, environment.get_template("page.html").render(page=page, **parts).encode())
    return path, page.problems


def _page(found: Library) -> Page:
    records = sorted(found.records.values(), key=_order)
    problems = list(found.problems)
    sections = sections_of(found, Runs(records), problems)
    return Page(
        folders=[str(path) for path in found.outputs],
        built=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        fill_command=FILL_COMMAND,
        tasks=list(dict.fromkeys(record.task for record in records)),
        methods=list(dict.fromkeys(method for section in sections for method in section.methods)),
        sections=sections,
        runs=[_line(record) for record in records],
        problems=problems,
        data=embedded(records, found.files),
    )


def _order(record: Record) -> tuple[str, str, str]:
    return record.task, record.method, str(record.provenance.get("started"))


def _line(record: Record) -> RunLine:
    origin = record.provenance
    seconds = sum(taken for taken in record.timings.values() if taken is not None)
    return RunLine(
        key=record.key,
        task=record.task,
        method=record.method,
        seed=str(record.config.get("seed", "")),
        started=str(origin.get("started") or "")[:19].replace("T", " "),
        seconds=f"{seconds:.1f}",
        device=str(origin.get("device") or ""),
        command=str(origin.get("command") or ""),
    )
