"""What every task is given, and what it hands over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from relrep_exp.alignment.anchors import Space
from relrep_exp.config.schema import Config
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store.records import Row
from relrep_exp.tasks.statistics_cache import StatisticsCache
from relrep_exp.training.device import Training

OnCurve = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class Work:
    """One run: its configuration, its embeddings, and how fits are run.

    Attributes:
        config: the run.
        embeddings: of all encoders; those that are paired across encoders serve alignment.
        train: encoder -> its paired training embeddings, with their statistics.
        test: encoder -> its paired test embeddings, [N, d].
        test_labels: of the rows of `test`, [N]; None where nothing is classified.
        training: how a fit is run.
        on_curve: told a fit's name, the epoch and its mean losses.
        samples: that the embeddings are of; None for precomputed ones.
        encoders: that made the embeddings, not loaded.
        timings: seconds, by phase; grows as the work is done.
    """

    config: Config
    embeddings: Embeddings
    train: dict[str, Space]
    test: dict[str, Tensor]
    test_labels: Tensor | None
    training: Training
    on_curve: OnCurve
    samples: Dataset | None = None
    encoders: Mapping[str, EncoderSource] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: Config,
        embeddings: Embeddings,
        training: Training | None = None,
        on_curve: OnCurve | None = None,
        statistics: StatisticsCache | None = None,
        samples: Dataset | None = None,
        encoders: Mapping[str, EncoderSource] | None = None,
    ) -> Work:
        """Split the paired embeddings; statistics of the training rows are shared with other runs.

        Args:
            config: the run.
            embeddings: of all encoders.
            training: how a fit is run.
            on_curve: told of losses as they come.
            statistics: where they are kept; by default in the run's outputs.
            samples: that the embeddings are of.
            encoders: that made them.
        """
        kept = statistics or StatisticsCache(Path(config.paths.outputs), config.overwrite == "always")
        train, test = {}, {}
        for name, corpus in embeddings.paired.items():
            statistics_of = partial(kept.whitening, embeddings.keys[name])
            train[name] = Space(corpus.x[corpus.is_train], statistics_of)
            test[name] = corpus.x[~corpus.is_train]
        first = next(iter(embeddings.paired.values()))
        labels = None if first.labels is None else first.labels[~first.is_train]
        ignored: OnCurve = lambda fit, epoch, losses: None  # noqa: E731
        how, told = training or Training(), on_curve or ignored
        return cls(config, embeddings, train, test, labels, how, told, samples, encoders or {})

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        start = time.perf_counter()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - start


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

    def add(self, source: str, target: str, method: str, values: dict[str, float]) -> None:
        """Add a row for each metric of a pair."""
        self.rows += [Row(source, target, method, metric, value) for metric, value in values.items()]
