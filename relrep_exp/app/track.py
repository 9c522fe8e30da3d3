"""Lightning's loggers, told of runs and of experiments: W&B (offline unless asked), CSV, TensorBoard, none.

A logger is never allowed to lose a record: whatever goes wrong in it is told once, it is closed, and the run
goes on.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import Config
from relrep_exp.store.files import write_atomic
from relrep_exp.store.keys import content_key, file_digest
from relrep_exp.store.records import Record
from relrep_exp.tasks.identity import method_name

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

    from relrep_exp.report.tables.table import Table

_LOG = logging.getLogger("relrep_exp")
_DATA_DIR = "WANDB_DATA_DIR"
COLUMNS = ["source", "target", "method", "metric", "value"]


class Tracker:
    """Tell a logger of a run's beginning, of each epoch of its fits, and of its record.

    Attributes:
        config: the run; `logger=` names what is written to.
        key: of its record.
        folder: for files of the run's own.
    """

    def __init__(self, config: Config, key: str, folder: Path):
        self.config, self.key, self.folder = config, key, folder
        self._logger: Any = None  # one of Lightning's, while it is open and works
        self._status = "failed"

    def start(self) -> None:
        """Open the logger, and tell it of the configuration; a run that is read opens none."""
        if self.config.logger.name != "none":
            self._attempt(self._open)

    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """Tell of the mean losses of one epoch of a fit."""
        named = {f"{fit}/{name}": value for name, value in losses.items()}
        if self._logger is not None:
            self._attempt(partial(self._logger.log_metrics, named, step=epoch))

    def finish(self, record: Record) -> None:
        """Tell of the run's record, when it is safe."""
        if self._logger is not None:
            self._attempt(partial(self._show, record))

    def close(self) -> None:
        """Close the logger, as failed where the run left no record; always called."""
        self._attempt(self._let_go)

    def _attempt(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception as error:  # whatever a logger raises, the run goes on
            what = "logger=%s failed (%s: %s) and is left out; the record is not affected"
            _LOG.warning(what, self.config.logger.name, type(error).__name__, error)
            self._status = "failed"
            with suppress(Exception):  # left open, W&B would take the next run for this one
                self._let_go()

    def _open(self) -> None:
        from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

        match self.config.logger.name:
            case "csv":  # in a folder of its own: it complains of one that is not empty, as of the run's log
                self._logger = CSVLogger(self.folder, name=None, version="csv")
            case "tensorboard":
                self._logger = TensorBoardLogger(self.folder, name=None, version="", default_hp_metric=False)
            case "wandb":
                c, method = self.config, method_name(self.config)
                tags = [c.task.name, method, c.anchors.name, c.sim.name]
                self._logger = _wandb(c, name=f"{c.task.name} {method} seed={c.seed}", tags=tags)
        self._logger.log_hyperparams({"key": self.key, **asdict(self.config)})

    def _show(self, record: Record) -> None:
        """Log the rows as a table and, but for CSV, the matrix of the headline metric as an image."""
        if self.config.logger.name == "csv":
            with (self.folder / "table.csv").open("w", newline="") as file:
                csv.writer(file).writerows([COLUMNS, *record.rows])
        else:
            from relrep_exp.report.figures.record_figures import pair_matrix
            from relrep_exp.report.render.formats import to_markdown
            from relrep_exp.report.tables.run_table import headline, run_table

            metric = headline([record])
            matrix, run = pair_matrix(record, metric), self._logger.experiment
            if self.config.logger.name == "tensorboard":
                run.add_text("rows", to_markdown(run_table(record)))
                run.add_figure(metric, matrix)
            else:
                with _kept_in(_home_of(self.config)):
                    self._logger.log_table("rows", COLUMNS, [list(row) for row in record.rows])
                self._logger.log_image(metric, [matrix])
                phases = {f"timings/{phase}": seconds for phase, seconds in record.timings.items()}
                run.summary.update(phases)
        self._status = "success"

    def _let_go(self) -> None:
        logger, self._logger = self._logger, None
        if logger is None:
            return
        try:
            logger.finalize(self._status)
        finally:
            if self.config.logger.name == "wandb":
                logger.experiment.finish(exit_code=int(self._status != "success"))  # Lightning leaves it open


def log_experiment(config: Config, name: str, table: Table, folder: Path) -> None:
    """Tell W&B, where it watches, how an experiment ended: by a run with table, means, figure and artifact.

    There is one for each different table, figure and destination: where nothing has changed, no second one.

    Args:
        config: of any of its runs; says where W&B keeps and sends things.
        name: of the experiment, or of a part of it, `fig3/0`.
        table: as it was shown.
        folder: with its files, as `write_experiment` leaves them.
    """
    if config.logger.name != "wandb":
        return
    home, logger = _home_of(config), config.logger
    content = {path.name: file_digest(path) for path in sorted(folder.glob("*.csv"))}
    to = {"name": name, "mode": logger.mode, "project": logger.project, "entity": logger.entity}
    mark = home / "summaries" / f"{content_key({**to, 'files': content})}.json"
    if mark.exists():
        return
    done = False
    try:
        run = _wandb(config, name=f"{name}: table", job_type="summary", tags=[name])
        try:
            with _kept_in(home):
                run.log_hyperparams({"experiment": name, "profile": config.profile, "title": table.title})
                _log_summary(run, name, table, folder)
            done = True
        finally:
            run.experiment.finish(exit_code=int(not done))
        write_atomic(mark, json.dumps({**to, "run": run.version}).encode())
    except Exception as error:  # as of a run's logger: the table stands whatever it raises
        what = "W&B has no summary of %s (%s: %s); its table and records are not affected"
        _LOG.warning(what, name, type(error).__name__, error)


def _log_summary(run: WandbLogger, name: str, table: Table, folder: Path) -> None:
    import pandas as pd
    import wandb

    # A column of numbers alone holds numbers, and None for none; "NA" may be somebody's encoder.
    frame = pd.read_csv(folder / "table.csv", na_values=["", "inf", "-inf"], keep_default_na=False)
    frame = frame.astype(object).where(frame.notna(), None)
    run.log_table("table", [*frame], frame.to_numpy().tolist())
    if (figure := folder / "figure.png").exists():
        run.log_image("figure", [str(figure)], caption=[table.title])
    means = {
        f"{line.target}/{line.source}/{column.label}": cell.mean
        for line in table.rows
        if line.closing
        for column, cell in zip(table.columns, line.cells, strict=True)
        if cell and math.isfinite(cell.mean)
    }
    run.experiment.summary.update(means)  # columns in W&B's list of runs: `mean/off-diagonal/param-wip`
    about = {"title": table.title, "notes": table.notes("bold")}
    artifact = wandb.Artifact(f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}-table", "experiment", metadata=about)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        artifact.add_file(str(path), name=path.name)
    run.experiment.log_artifact(artifact)


def _wandb(config: Config, /, **about: Any) -> WandbLogger:
    """Make a run of W&B in the experiment's group; nothing leaves the machine unless logger.mode=online."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    settings = wandb.Settings(
        silent=True,
        console="off",
        x_disable_stats=True,
        x_save_requirements=False,  # .2 s for a list of all packages; the record has versions
        save_code=False,
    )
    # Begun here: Lightning would give W&B a setting that it warns of, and reuse a run that somebody has open.
    run = wandb.init(
        mode=config.logger.mode,
        project=config.logger.project,
        entity=config.logger.entity,
        dir=str(_home_of(config)),
        group=config.experiment.name if config.experiment else None,
        settings=settings,
        **about,
    )
    return WandbLogger(experiment=run)


def _home_of(config: Config) -> Path:
    """Where W&B keeps its runs, in the folder wandb/, and the files of artifacts until they are sent."""
    home = Path(config.paths.outputs).resolve() / "runs"
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def _kept_in(home: Path) -> Iterator[None]:
    """Keep tables and artifacts that are logged meanwhile under `home`, not in the user's home folder.

    W&B reads the place from the environment whenever it copies a file. What the user has set there stays.
    """
    before = os.environ.get(_DATA_DIR)
    os.environ[_DATA_DIR] = before or str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_DATA_DIR]
