"""Who watches a run: Weights & Biases (offline unless asked), CSV files, TensorBoard, or nobody.

A tracker is never allowed to lose a record: whatever goes wrong in it is told once, and the run goes on.
"""

from __future__ import annotations

import csv
import logging
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.app import wandb_runs
from relrep_exp.config.schema import Config
from relrep_exp.store.records import Record
from relrep_exp.tasks.identity import method_name

if TYPE_CHECKING:
    from relrep_exp.report.tables.table import Table

_LOG = logging.getLogger("relrep_exp")
COLUMNS = ["source", "target", "method", "metric", "value"]


@dataclass
class Tracker:
    """Told of a run's beginning, of each epoch of its fits, and of its record.

    Attributes:
        config: the run; `logger=` names what is written to.
        key: of its record.
        folder: for files of the run's own.
    """

    config: Config
    key: str
    folder: Path
    _sink: Sink | None = None  # while it is open and works

    def start(self) -> None:
        """The run is computed, not read: open whatever is written to."""
        if (sink := SINKS.get(self.config.logger.name)) is not None:
            self._sink = sink(self.config, self.key, self.folder)
            self._attempt("open")

    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """Mean losses of one epoch of a fit."""
        self._attempt("curve", fit, epoch, losses)

    def finish(self, record: Record) -> None:
        """The run's record, when it is safe."""
        self._attempt("record", record)

    def close(self) -> None:
        """Always called, also after a failure."""
        self._attempt("close")
        self._sink = None

    def _attempt(self, step: str, *arguments: Any) -> None:
        sink = self._sink
        if sink is None:
            return
        try:
            getattr(sink, step)(*arguments)
        except Exception as error:  # whatever a logger raises, the run goes on
            self._sink = None
            name, kind = type(sink).__name__, type(error).__name__
            _LOG.warning("%s failed (%s: %s) and is left out; the record is not affected", name, kind, error)


class Sink(ABC):
    """One kind of logger."""

    def __init__(self, config: Config, key: str, folder: Path):
        self.config, self.key, self.folder = config, key, folder

    @abstractmethod
    def open(self) -> None:
        """Make ready."""

    @abstractmethod
    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """One epoch."""

    @abstractmethod
    def record(self, record: Record) -> None:
        """The result."""

    @abstractmethod
    def close(self) -> None:
        """Let go."""


class WandbSink(Sink):
    """One W&B run per record; nothing leaves the machine unless logger.mode=online."""

    exit_code = 1

    def open(self) -> None:
        """Start a run with the configuration, tagged by task, anchors and similarity."""
        c = self.config
        self.run = wandb_runs.begin(
            c,
            name=f"{c.task.name} {method_name(c)} seed={c.seed}",
            tags=[c.task.name, method_name(c), c.anchors.name, c.sim.name],
            config={"key": self.key, **asdict(c)},
        )

    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """Losses under the fit's name."""
        self.run.log({f"{fit}/{name}": value for name, value in losses.items()} | {"epoch": epoch})

    def record(self, record: Record) -> None:
        """The rows as a table, the matrix of the headline metric as an image, timings in the summary."""
        import wandb

        from relrep_exp.report.figures.record_figures import pair_matrix
        from relrep_exp.report.tables.run_table import headline

        metric = headline([record])
        with wandb_runs.kept_in(wandb_runs.home_of(self.config)):
            self.run.log({"rows": wandb.Table(columns=[*COLUMNS], data=[list(row) for row in record.rows])})
        self.run.log({metric: wandb.Image(pair_matrix(record, metric))})
        self.run.summary.update({f"timings/{phase}": s for phase, s in record.timings.items()})
        self.exit_code = 0

    def close(self) -> None:
        """Finish the run; as failed if it left no record."""
        self.run.finish(exit_code=self.exit_code)


class CsvSink(Sink):
    """curves.csv and table.csv in the run's folder."""

    def open(self) -> None:
        """Write the header of the curves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = (self.folder / "curves.csv").open("w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["fit", "epoch", "loss", "value"])

    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """One line per loss."""
        self.writer.writerows([fit, epoch, name, value] for name, value in losses.items())

    def record(self, record: Record) -> None:
        """The rows."""
        with (self.folder / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *record.rows])

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class TensorboardSink(Sink):
    """Event files in the run's folder."""

    def open(self) -> None:
        """Start writing."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.folder))

    def curve(self, fit: str, epoch: int, losses: dict[str, float]) -> None:
        """One scalar per loss."""
        for name, value in losses.items():
            self.writer.add_scalar(f"{fit}/{name}", value, epoch)

    def record(self, record: Record) -> None:
        """The rows as text and as a figure."""
        from relrep_exp.report.figures.record_figures import pair_matrix
        from relrep_exp.report.render.formats import to_markdown
        from relrep_exp.report.tables.run_table import headline, run_table

        self.writer.add_text("rows", to_markdown(run_table(record)))
        metric = headline([record])
        self.writer.add_figure(metric, pair_matrix(record, metric))

    def close(self) -> None:
        """Flush and close."""
        self.writer.close()


SINKS: dict[str, type[Sink]] = {"wandb": WandbSink, "csv": CsvSink, "tensorboard": TensorboardSink}


def log_experiment(config: Config, name: str, table: Table, folder: Path) -> None:
    """Tell W&B, where it watches, how an experiment ended; once for each different table.

    Args:
        config: of any of its runs.
        name: of the experiment, or of a part of it, `fig3/0`.
        table: as it was shown.
        folder: with its files, as `write_experiment` leaves them.
    """
    if config.logger.name != "wandb":
        return
    try:
        wandb_runs.log_summary(config, name, table, folder)
    except Exception as error:  # as of a run's logger: the table stands whatever it raises
        _LOG.warning(
            "W&B has no summary of %s (%s: %s); its table and records are not affected",
            name,
            type(error).__name__,
            error,
        )
