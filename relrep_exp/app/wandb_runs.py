"""Runs of Weights & Biases: what they leave is under outputs/runs/; one of them sums up an experiment."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.store.files import write_atomic
from relrep_exp.store.keys import content_key, file_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import Config
    from relrep_exp.report.tables.table import Table

_DATA_DIR = "WANDB_DATA_DIR"


def home_of(config: Config) -> Path:
    """Where W&B keeps its runs, in the folder wandb/, and the files of artifacts until they are sent."""
    home = Path(config.paths.outputs).resolve() / "runs"
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def kept_in(home: Path) -> Iterator[None]:
    """Tables and artifacts that are logged meanwhile are kept under `home`, not in the user's home folder.

    W&B reads the place from the environment whenever it copies a file. What the user has set there stays.
    """
    before = os.environ.get(_DATA_DIR)
    os.environ[_DATA_DIR] = before or str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_DATA_DIR]


def begin(config: Config, /, **about: Any) -> Any:
    """A run of W&B in the experiment's group; nothing leaves the machine unless logger.mode=online."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb.init(
        mode=config.logger.mode,
        project=config.logger.project,
        entity=config.logger.entity,
        dir=str(home_of(config)),
        group=config.experiment.name if config.experiment else None,
        settings=wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            x_save_requirements=False,  # .2 s for a list of all packages; the record has versions
            save_code=False,
        ),
        **about,
    )


def log_summary(config: Config, name: str, table: Table, folder: Path) -> None:
    """The summary run of an experiment: its table, its means, its figure, and an artifact of all its files.

    Made once for each table, figure and destination: where nothing has changed, there is no second one.

    Args:
        config: of any of its runs; says where W&B keeps and sends things.
        name: of the experiment, or of a part of it, `fig3/0`.
        table: as it was shown.
        folder: with the files of the experiment; `table.csv` is among them.
    """
    home = home_of(config)
    logger = config.logger
    content = {path.name: file_digest(path) for path in sorted(folder.glob("*.csv"))}
    to = {"name": name, "mode": logger.mode, "project": logger.project, "entity": logger.entity}
    mark = home / "summaries" / f"{content_key({**to, 'files': content})}.json"
    if mark.exists():
        return
    with kept_in(home):
        about = {"experiment": name, "profile": config.profile, "title": table.title}
        run = begin(config, name=f"{name}: table", job_type="summary", tags=[name], config=about)
        code = 1
        try:
            _log(run, name, table, folder)
            code = 0
        finally:
            run.finish(exit_code=code)
    write_atomic(mark, json.dumps({**to, "run": run.id}).encode())


def _log(run: Any, name: str, table: Table, folder: Path) -> None:
    import wandb

    columns, rows = _typed(folder / "table.csv")
    shown: dict[str, Any] = {"table": wandb.Table(columns=[*columns], data=rows)}
    if (figure := folder / "figure.png").exists():
        shown["figure"] = wandb.Image(str(figure), caption=table.title)
    run.log(shown)
    run.summary.update(_means(table))
    about = {"title": table.title, "notes": table.notes("bold")}
    artifact = wandb.Artifact(f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}-table", "experiment", metadata=about)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        artifact.add_file(str(path), name=path.name)
    run.log_artifact(artifact)


def _means(table: Table) -> dict[str, float]:
    """The closing rows as columns in W&B's list of runs: `mean/off-diagonal/param-wip`."""
    return {
        f"{line.target}/{line.source}/{column.label}": cell.mean
        for line in table.rows
        if line.closing
        for column, cell in zip(table.columns, line.cells, strict=True)
        if cell and math.isfinite(cell.mean)
    }


def _typed(path: Path) -> tuple[list[str], list[list[Any]]]:
    """A CSV's header and rows; a column that holds nothing but numbers holds numbers, and None for none."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    columns = [_column(column) for column in zip(*rows, strict=True)] if rows else []
    return header, [list(row) for row in zip(*columns, strict=True)]


def _column(texts: Sequence[str]) -> list[Any]:
    try:
        numbers = [float(text) if text else math.nan for text in texts]
    except ValueError:
        return list(texts)
    return [number if math.isfinite(number) else None for number in numbers]
