"""Make the page's sections: a table each, of every experiment and every comparison of the other records."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from relrep_exp.errors import Problem
from relrep_exp.report.experiment import FILE, experiment_table, write_experiment
from relrep_exp.report.render.html import Runs, to_html
from relrep_exp.report.tables.groups import homogeneous
from relrep_exp.report.tables.pair_tables import comparison
from relrep_exp.report.tables.run_table import headline

if TYPE_CHECKING:
    from markupsafe import Markup

    from relrep_exp.report.page.library import Ended, Library
    from relrep_exp.report.tables.groups import Group
    from relrep_exp.report.tables.table import Table
    from relrep_exp.store.records import Record

    Origin = list[tuple[str, list[str]]]

_LOG = logging.getLogger("relrep_exp")
_ORIGIN = ("command", "git", "versions", "device", "platform")
_SHOWN_VALUES = 3
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Section:
    """A table and what belongs to it.

    Attributes:
        id: of its heading, for links.
        title: its heading.
        short: its line in the contents.
        task: of its records; "" where there are none.
        origin: what the records say about theirs, each different value once.
        methods: of its columns.
        table: as HTML.
        problem: why there is no table; else "".
        command: what makes all of it again; "" for a comparison that no experiment is behind.
        planned: how many runs it should have.
        gaps: label, reason and command of those without a record.
        figure: a data URI, or "".
    """

    id: str
    title: str
    short: str
    task: str
    origin: Origin
    methods: list[str] = field(default_factory=list)
    table: Markup | str = ""
    problem: str = ""
    command: str = ""
    planned: int = 0
    gaps: list[tuple[str, str, str]] = field(default_factory=list)
    figure: str = ""


def sections_of(found: Library, runs: Runs, problems: list[Problem]) -> list[Section]:
    """Make a section for each experiment, then one for each group of records that belong to none.

    Args:
        found: what is shown.
        runs: all records of the page.
        problems: is added what could not be shown.
    """
    taken: set[str] = set()
    sections, belonging = [], set()
    for ended in found.experiments:
        sections.append(_experiment(ended, found, runs, taken, problems))
        if not sections[-1].problem:
            belonging |= {place.key for place in ended.closing.places}
    others = [record for key, record in found.records.items() if key not in belonging]
    return sections + [_group(group, runs, taken) for group in homogeneous(others)]


def _id(title: str, taken: set[str]) -> str:
    """Name a section for links, each differently and as nothing of the template is named."""
    name = "table-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    free = next(one for n in count(1) if (one := name if n == 1 else f"{name}-{n}") not in taken)
    taken.add(free)
    return free


def _experiment(
    ended: Ended, found: Library, runs: Runs, taken: set[str], problems: list[Problem]
) -> Section:
    closing, experiment = ended.closing, ended.closing.experiment
    points, gaps = closing.sort_out(found.records)
    empty = Section(
        id=_id(f"{experiment.name}-{closing.profile}", taken),
        title=f"{experiment.title} ({experiment.name}, profile={closing.profile})",
        short=f"{experiment.name}: {experiment.title}",
        task=points[0].record.task if points else "",
        command=closing.command,
        planned=len(closing.places),
        gaps=[(", ".join(gap.words), gap.reason, gap.command) for gap in gaps],
        origin=_origin(point.record for point in points),
    )
    try:
        table, figure = _table_and_figure(ended, found)
    except Exception as error:  # one experiment that cannot be shown must not hide the others
        _LOG.debug("%s cannot be shown", experiment.name, exc_info=True)
        why = f"{type(error).__name__}: {error}"
        what = f"the experiment in {ended.folder} cannot be shown: {why}"
        problems.append(Problem(what, f"run it again: {closing.command}"))
        return replace(empty, problem=why)
    return replace(empty, figure=figure, **_shown(table, runs))


def _group(group: Group, runs: Runs, taken: set[str]) -> Section:
    told = [f"{key}={text}" for key, text in group.settings.items()]  # of which the title says a part
    empty = Section(
        id=_id(group.title, taken),
        title=group.title,
        short=group.title,
        task=group.records[0].task,
        origin=[*([("set apart by", told)] if told else []), *_origin(group.records)],
    )
    try:
        table = comparison(group.records, headline(group.records))
    except ValueError as problem:  # one contradiction in the store must not hide all other tables
        return replace(empty, problem=str(problem))
    return replace(empty, **_shown(table, runs))


def _shown(table: Table, runs: Runs) -> dict[str, Any]:
    """Show the table less its list of missing runs, which the page has whole."""
    from markupsafe import Markup

    methods = list(dict.fromkeys(line.method_in(c) for line in table.rows for c in table.columns))
    return {"table": Markup(to_html(replace(table, missing=()), runs)), "methods": methods}


def _origin(records: Iterable[Record]) -> Origin:
    """Collect what the records say about their origin, each different value once."""
    kept, lines = list(records), []
    for name in _ORIGIN:
        said = [record.provenance[name] for record in kept if record.provenance.get(name)]
        values = list(dict.fromkeys(_text(value) for value in said))
        if len(values) > _SHOWN_VALUES:
            values = [*values[:_SHOWN_VALUES], f"and {len(values) - _SHOWN_VALUES} more"]
        if values:
            lines.append((name, values))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return json.dumps(value, default=str)


def _table_and_figure(ended: Ended, found: Library) -> tuple[Table, str]:
    """Make the table, and the figure as a data URI, "" where none can be drawn.

    Raises:
        ValueError: the records do not belong in one table.
        UserError: the experiment names numbers of the paper that there are not.
    """
    if (kept := _inlined(ended.folder)) and _is_current(ended, found.files):
        return experiment_table(ended.closing, found.records)[0], kept
    with TemporaryDirectory() as folder:  # the experiment's own files are the experiment's to write
        table = write_experiment(ended.closing, found.records, Path(folder))
        return table, _inlined(Path(folder))


def _figures(folder: Path) -> list[Path]:
    return [path for kind in _KINDS if (path := folder / f"figure{kind}").exists()]


def _is_current(ended: Ended, files: Mapping[str, Path]) -> bool:
    """Tell whether the figure in the folder was drawn from the records of now: the same, none made later.

    Drawing is most of the time that a page takes.
    """
    drawn = {place.key for place in ended.closing.places if not place.reason}
    present = {place.key for place in ended.closing.places if place.key in files}
    made = min(path.stat().st_mtime for path in _figures(ended.folder))
    sources = [ended.folder / FILE, *(files[key] for key in present)]
    return drawn == present and all(path.stat().st_mtime <= made for path in sources)


def _inlined(folder: Path) -> str:
    """Inline the figure in its smaller format."""
    if not (figures := _figures(folder)):
        return ""
    path = min(figures, key=lambda path: path.stat().st_size)
    return f"data:{_KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
