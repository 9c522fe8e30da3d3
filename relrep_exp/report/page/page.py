"""Build one self-contained page with every experiment, and every comparison that the other records allow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.report.page.table_sections import sections_of
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

    records = sorted(
        found.records.values(), key=lambda one: (one.task, one.method, str(one.provenance.get("started")))
    )
    problems = list(found.problems)
    sections = sections_of(found, Runs(records), problems)
    page = {
        "folders": [str(path) for path in found.outputs],
        "built": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "fill_command": FILL_COMMAND,
        "tasks": list(dict.fromkeys(record.task for record in records)),
        "methods": list(dict.fromkeys(method for section in sections for method in section.methods)),
        "sections": sections,
        "runs": [_line(record) for record in records],
        "problems": problems,
    }
    parts = {
        "style": Markup((_TEMPLATES / "page.css").read_text()),
        "script": Markup((_TEMPLATES / "page.js").read_text()),
        "data": Markup(embedded(records, found.files)),
    }
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    path = folder / "index.html"
    write_atomic(path, environment.get_template("page.html").render(page=page, **parts).encode())
    return path, problems


def _line(record: Record) -> dict[str, str]:
    """Write one line of the list of all runs."""
    origin = record.provenance
    seconds = sum(taken for taken in record.timings.values() if taken is not None)
    return {
        "key": record.key,
        "task": record.task,
        "method": record.method,
        "seed": str(record.config.get("seed", "")),
        "started": str(origin.get("started") or "")[:19].replace("T", " "),
        "seconds": f"{seconds:.1f}",
        "device": str(origin.get("device") or ""),
        "command": str(origin.get("command") or ""),
    }


def embedded(records: Sequence[Record], files: Mapping[str, Path]) -> str:
    """Write what the script of the page reads: `{pool, runs}`, safe inside a script element.

    A run holds what it shares with others, each part of its configuration among it, as places in the pool.

    Args:
        records: in the order in which cells name them by number.
        files: the file of each record by its key.
    """
    pool: list[Any] = []
    places: dict[str, int] = {}

    def place_of(value: Any) -> int:
        place = places.setdefault(json.dumps(value, sort_keys=True), len(pool))
        if place == len(pool):
            pool.append(value)
        return place

    runs = []
    for record in records:
        origin = record.provenance
        runs.append(
            {
                "key": record.key,
                "task": record.task,
                "method": record.method,
                "file": str(files[record.key]),
                "config": {name: place_of(value) for name, value in record.config.items()},
                "timings": {phase: taken and round(taken, 3) for phase, taken in record.timings.items()},
                **{name: origin[name] for name in _OWN if origin.get(name) is not None},
                "shared": {name: place_of(origin[name]) for name in _SHARED if origin.get(name)},
            }
        )
    text = json.dumps({"pool": pool, "runs": runs}, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # no name can close the element
