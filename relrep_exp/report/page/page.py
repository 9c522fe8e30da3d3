"""One self-contained page with every experiment, and every comparison that the other records allow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.report.page.table_sections import Section, sections_of
from relrep_exp.report.render.html import Runs
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.errors import Problem
    from relrep_exp.report.page.library import Library
    from relrep_exp.store.records import Record

FILL_COMMAND = "python run.py experiment=demo"

_TEMPLATES = Path(__file__).parent / "templates"
_SHARED = ("git", "versions", "revisions", "platform")
_OWN = ("device", "threads", "started", "finished", "command")


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


@dataclass
class Pool:
    """Values, each of them once.

    Attributes:
        values: in order of appearance.
    """

    values: list[Any] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, value: Any) -> int:
        """The place of a value that is JSON."""
        text = json.dumps(value, sort_keys=True)
        place = self._places.setdefault(text, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def embedded(records: Sequence[Record], files: Mapping[str, Path]) -> str:
    """What the script of the page reads: `{pool, runs}`, safe inside a script element.

    A run holds what it shares with others, each part of its configuration among it, as places in the pool.

    Args:
        records: in the order in which cells name them by number.
        files: the file of each record by its key.
    """
    pool = Pool()
    runs = [_embedded_run(record, files[record.key], pool) for record in records]
    text = json.dumps({"pool": pool.values, "runs": runs}, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # no name can close the element


def _embedded_run(record: Record, file: Path, pool: Pool) -> dict[str, Any]:
    origin = record.provenance
    return {
        "key": record.key,
        "task": record.task,
        "method": record.method,
        "file": str(file),
        "config": {name: pool.add(value) for name, value in record.config.items()},
        "timings": {phase: taken and round(taken, 3) for phase, taken in record.timings.items()},
        **{name: origin[name] for name in _OWN if origin.get(name) is not None},
        "shared": {name: pool.add(origin[name]) for name in _SHARED if origin.get(name)},
    }
