"""One self-contained page with every comparison that the records allow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.report.groups import Group, homogeneous
from relrep_exp.report.render import to_html
from relrep_exp.report.tables import comparison, headline
from relrep_exp.store.files import write_atomic

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

FILL_COMMAND = "python run.py experiment=demo"

_PROVENANCE = ("command", "git", "versions", "device")
_SHOWN_VALUES = 2


@dataclass(frozen=True)
class Section:
    """A table as HTML, or the reason why there is none, and where the numbers come from."""

    title: str
    table: str
    problem: str
    provenance: list[tuple[str, str]]


def build(records: Iterable[Record], folder: Path) -> Path:
    """Write `index.html` into the folder and return its path; without records, a page that says so."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(
        "page.html"
    )
    kept = list(records)
    page = template.render(
        sections=[_section(group) for group in homogeneous(kept)], runs=len(kept), fill_command=FILL_COMMAND
    )
    path = folder / "index.html"
    write_atomic(path, page.encode())
    return path


def _section(group: Group) -> Section:
    provenance = _provenance(group.records)
    try:
        table = comparison(group.records, headline(group.records))
    except ValueError as problem:  # one contradiction in the store must not hide all other tables
        return Section(group.title, "", str(problem), provenance)
    return Section(group.title, to_html(replace(table, title=group.title)), "", provenance)


def _provenance(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the records say about their origin, each different value once."""
    lines = []
    for name in _PROVENANCE:
        values = list(
            dict.fromkeys(_text(record.provenance[name]) for record in records if record.provenance.get(name))
        )
        if values:
            more = f"; and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
            lines.append((name, "; ".join(values[:_SHOWN_VALUES]) + more))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(_text(part) for part in value)
    return json.dumps(value, default=str)
