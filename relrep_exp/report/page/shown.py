"""An experiment on the page: its table from the records of now, its figure drawn again if need be."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from relrep_exp.report.closing_file import FILE
from relrep_exp.report.experiment import experiment_table, write_experiment

if TYPE_CHECKING:
    from relrep_exp.report.page.stores import Ended, Library
    from relrep_exp.report.tables.cells import Table

_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def table_and_figure(ended: Ended, found: Library) -> tuple[Table, str]:
    """The table, and the figure as a data URI, "" where none can be drawn.

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
    """Whether the figure in the folder was drawn from the records of now: the same ones, none made later.

    Drawing is most of the time that a page takes.
    """
    drawn = {place.key for place in ended.closing.places if not place.reason}
    present = {place.key for place in ended.closing.places if place.key in files}
    made = min(path.stat().st_mtime for path in _figures(ended.folder))
    sources = [ended.folder / FILE, *(files[key] for key in present)]
    return drawn == present and all(path.stat().st_mtime <= made for path in sources)


def _inlined(folder: Path) -> str:
    """The figure in its smaller format."""
    if not (figures := _figures(folder)):
        return ""
    path = min(figures, key=lambda path: path.stat().st_size)
    return f"data:{_KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
