"""What an experiment ended with: its runs and their places, from which its table can be made again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.tables.points import Gap, Point
from relrep_exp.store.files import seal, unseal, write_atomic

if TYPE_CHECKING:
    from relrep_exp.store.records import Record

FILE = "experiment.json"
_SCHEMA = 1
_NO_CHANGE = {"experiment", "profile", "seed", "paths", "runtime", "logger", "overwrite", "hydra"}
_EXPERIMENT = TypeAdapter(ExperimentConfig)


@dataclass(frozen=True)
class Place:
    """One run of an experiment, finished or not.

    Attributes:
        method: as the experiment calls it.
        at: its value on each axis.
        varied: the one key that was changed from the method's own setting, with its value; None for the base.
        key: of its record.
        command: what makes this run alone.
        reason: why it had no record when the experiment ended; "" where it had one.
    """

    method: str
    at: Mapping[str, Any]
    varied: tuple[str, Any] | None
    key: str
    command: str
    reason: str = ""


@dataclass(frozen=True)
class Closing:
    """An experiment in one form, and every run that belongs to it.

    Attributes:
        experiment: in the form of its profile.
        profile: paper or local.
        command: what makes all of it again.
        places: its runs.
    """

    experiment: ExperimentConfig
    profile: str
    command: str
    places: tuple[Place, ...]

    @property
    def changes(self) -> list[str]:
        """What was asked for besides the experiment as its file has it, and so may change its numbers."""
        texts = [text for text in shlex.split(self.command)[2:] if "=" in text or text.startswith("~")]
        return [text for text in texts if re.split(r"[=./]", text.lstrip("+~"))[0] not in _NO_CHANGE]

    def sort_out(self, records: Mapping[str, Record]) -> tuple[list[Point], list[Gap]]:
        """The runs that have a record, by key, and those that have none."""
        points, gaps = [], []
        for place in self.places:
            where = (place.method, place.at, place.varied)
            if (record := records.get(place.key)) is not None:
                points.append(Point(*where, record))
            else:
                gaps.append(Gap(*where, place.reason or "not run yet", place.command))
        return points, gaps

    def save(self, folder: Path) -> None:
        """Write `experiment.json`.

        Raises:
            UserError: the folder cannot be written.
        """
        fields = _CLOSING.dump_python(self, mode="json")
        write_atomic(folder / FILE, seal({"schema": _SCHEMA, **fields}).encode())

    @staticmethod
    def load(path: Path) -> Closing:
        """Read what `save` wrote.

        Raises:
            CorruptError: it is not what was written.
            OtherSchemaError: another version wrote it.
        """
        fields: dict[str, Any] = unseal(path.read_bytes(), _SCHEMA)
        del fields["schema"]
        return _CLOSING.validate_python(fields)


_CLOSING = TypeAdapter(Closing)
