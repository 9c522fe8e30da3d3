"""What a task hands over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from relrep_exp.store.records import Row

# Kinds of views
SAMPLES = "samples"
ANCHORS = "anchors"


@dataclass
class Result:
    """The outcome of one task.

    Attributes:
        rows: the numbers.
        curves: losses per epoch, by fit and by loss.
        views: what a figure draws, each with its `kind`: samples of two encoders as the method sees them,
            anchors as the samples that they mix, images drawn again, points and anchors in the plane.
        diagnostics: condition numbers and the like, by test encoder.
        timings: seconds, by phase.
    """

    rows: list[Row] = field(default_factory=list)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        start = time.perf_counter()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - start

    def add(self, source: str, target: str, method: str, values: dict[str, float]) -> None:
        """One row for each metric of a pair."""
        self.rows += [Row(source, target, method, metric, value) for metric, value in values.items()]
