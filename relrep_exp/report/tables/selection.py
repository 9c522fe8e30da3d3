"""What of its runs an experiment shows: some of the encoders, or of a pair's one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relrep_exp.config.schema import ExperimentConfig
    from relrep_exp.report.tables.points import Point


def keeps(experiment: ExperimentConfig, target: str, source: str) -> bool:
    """Whether what happens between these two is shown."""
    among = not experiment.encoders or {target, source} <= set(experiment.encoders)
    tested = not experiment.test_encoders or target in experiment.test_encoders
    return among and tested and (not experiment.sources or source in experiment.sources)


def selected(experiment: ExperimentConfig, points: Sequence[Point]) -> list[Point]:
    """The points with what is shown of their numbers and views."""
    if not said(experiment):
        return list(points)
    return [replace(point, record=_selected(experiment, point.record)) for point in points]


def said(experiment: ExperimentConfig) -> list[str]:
    """What there is to say about the selection; nothing where everything is shown."""
    parts = {
        "among": experiment.encoders,
        "with the test encoders": experiment.test_encoders,
        "with the sources": experiment.sources,
    }
    shown = [f"{what} {', '.join(names)}" for what, names in parts.items() if names]
    return [f"Of all pairs only those {', '.join(shown)}."] if shown else []


def _selected(experiment: ExperimentConfig, record: Any) -> Any:
    rows = [row for row in record.rows if keeps(experiment, row.target, row.source)]
    views = [view for view in record.views if _keeps_view(experiment, view)]
    return replace(record, rows=rows, views=views)


def _keeps_view(experiment: ExperimentConfig, view: dict[str, Any]) -> bool:
    """A view of other kinds than pairs of encoders names none, and is shown where nothing is selected."""
    return keeps(experiment, str(view.get("target")), str(view.get("source")))
