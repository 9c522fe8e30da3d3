"""A task is given a `Work` and hands over a `Result`; statistics of training rows are kept for other runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.whitening import Eps, Whitening
from relrep_exp.config.schema import Config
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store.files import digest
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Row
from relrep_exp.store.tensors import TensorStore
from relrep_exp.tasks.identity import STATISTICS, TRAIN, statistics_identity
from relrep_exp.training.device import Training

OnCurve = Callable[[str, int, dict[str, float]], None]

KEPT_FROM_GFLOP = 2.0  # of fitting statistics: some 50 ms, as long as writing them takes


@dataclass
class StatisticsCache:
    """Keep statistics where fitting them takes longer than writing them.

    Measured on two busy cores with 50,000 embeddings of dimension 768, digests checked: their statistics take
    5 s to fit and 3 ms to read. Representations are not kept: WIP on 300 anchors takes as long as a reading.

    Attributes:
        outputs: the folder of all results; None: nothing is kept.
        recompute: make everything anew, each thing once in a run.
    """

    outputs: Path | None = None
    recompute: bool = False
    _made: set[str] = field(default_factory=set)

    def whitening(
        self, embeddings: str, x: Tensor, shrinkage: float, eps: Eps, rows: Tensor | None
    ) -> Whitening:
        """Fit or read the statistics of some training rows of an encoder.

        Args:
            embeddings: the identity of the encoder's embeddings.
            x: training embeddings, [n, d].
            shrinkage: lambda of Appendix B.
            eps: additive constant of Appendix B.
            rows: which of the encoder's training rows x is, [n]; None: all.
        """
        n, d = x.shape
        gflop = (2.0 * n * d**2 + 9.0 * d**3) / 1e9  # the covariance and its eigenvalue decomposition
        if self.outputs is None or gflop < KEPT_FROM_GFLOP:
            return Whitening.fit(x, shrinkage, eps)
        identity = statistics_identity(embeddings, shrinkage, eps, TRAIN if rows is None else digest(rows))

        def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
            found = Whitening.fit(x, shrinkage, eps)
            numbers = {"condition": found.condition, "rank": found.rank, "count": found.count}
            return {"mean": found.mean, "matrix": found.matrix}, {**identity, "numbers": numbers}

        key, store = content_key(identity), TensorStore(self.outputs / STATISTICS)
        entry = store.get_or_compute(key, compute, recompute=self.recompute and key not in self._made)
        self._made.add(key)
        mean, matrix = entry.tensors["mean"], entry.tensors["matrix"]
        return Whitening(mean, matrix, **entry.describe["numbers"]).to(x.device)


@dataclass(frozen=True)
class Work:
    """Hold one run: its configuration, its embeddings, and how fits are run.

    Attributes:
        config: the run.
        embeddings: of all encoders; those that are paired across encoders serve alignment.
        training: how a fit is run.
        on_curve: told a fit's name, the epoch and its mean losses.
        statistics: where those of training rows are kept; by default in the run's outputs.
        samples: that the embeddings are of; None for precomputed ones.
        encoders: that made the embeddings, not loaded.
        train: encoder -> its paired training embeddings, with the statistics of `own`.
        own: encoder -> training embeddings of the task's own samples, [N, d], those of `train` where these
            are paired: "the full embedding set" of Appendix B, of which mean and covariance are.
        test: encoder -> its paired test embeddings, [N, d].
        test_labels: of the rows of `test`, [N]; None where nothing is classified.
        timings: seconds, by phase; grows as the work is done.
    """

    config: Config
    embeddings: Embeddings
    training: Training = field(default_factory=Training)
    on_curve: OnCurve = lambda fit, epoch, losses: None
    statistics: InitVar[StatisticsCache | None] = None
    samples: Dataset | None = None
    encoders: Mapping[str, EncoderSource] = field(default_factory=dict)
    train: dict[str, Space] = field(init=False, default_factory=dict)
    own: dict[str, Tensor] = field(init=False, default_factory=dict)
    test: dict[str, Tensor] = field(init=False, default_factory=dict)
    test_labels: Tensor | None = field(init=False, default=None)
    timings: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self, statistics: StatisticsCache | None) -> None:
        config = self.config
        kept = statistics or StatisticsCache(Path(config.paths.outputs), config.overwrite == "always")
        for name, corpus in self.embeddings.paired.items():
            paired = Space(corpus.x[corpus.is_train], partial(kept.whitening, self.embeddings.keys[name]))
            own = self.embeddings.tasks[name]
            if own is not corpus:
                statistics_of = partial(kept.whitening, self.embeddings.own_keys[name])
                paired.metric = Space(own.x[own.is_train], statistics_of)
            self.train[name] = paired
            self.own[name] = (paired.metric or paired).x
            self.test[name] = corpus.x[~corpus.is_train]
        first = next(iter(self.embeddings.paired.values()))
        if first.labels is not None:
            object.__setattr__(self, "test_labels", first.labels[~first.is_train])  # frozen from here on

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        start = time.perf_counter()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - start


@dataclass
class Result:
    """Gather the outcome of one task.

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
