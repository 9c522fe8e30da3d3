"""Zero-shot stitching, leave one encoder out (Algorithm 1).

For every test encoder an aligner is fitted on all the others; a decoder is trained on each encoder's
representation of the training samples, and reads the test encoder's representation of the test samples.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.rows import Row
from relrep_exp.schema import TaskConfig
from relrep_exp.tasks.decoders import Decoder, FitDecoders

Pair = tuple[str, str]


@dataclass
class Result:
    """What a task hands over.

    Attributes:
        rows: the numbers.
        curves: losses per epoch, by fit and by loss.
        views: a few samples of two encoders as the method sees them.
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


class Stitching:
    """One run of the protocol.

    Args:
        embeddings: parallel embeddings, labels, split.
        make_aligner: a fresh aligner of the method under test.
        fit_decoders: trains decoders on training features.
        task: sizes of what is measured.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        make_aligner: Callable[[], Aligner],
        fit_decoders: FitDecoders,
        task: TaskConfig,
    ):
        self.embeddings, self.task = embeddings, task
        self.make_aligner, self.fit_decoders = make_aligner, fit_decoders
        split = embeddings.is_train
        self.train = {name: Space(x[split]) for name, x in embeddings.spaces.items()}
        self.test = {name: x[~split] for name, x in embeddings.spaces.items()}
        self.train_labels, self.test_labels = embeddings.labels[split], embeddings.labels[~split]

    def run(self) -> Result:
        """Fit, train, measure."""
        result = Result()
        with result.timed("align"):
            aligners = {target: self._held_out(target) for target in self.train}
            features = self._features(aligners)
        with result.timed("decoders"):
            decoders = self._decoders(features)
        with result.timed("measure"):
            for target, aligner in aligners.items():
                result.rows += self._rows(target, aligner, decoders)
                result.curves |= aligner.curves()
                result.diagnostics[target] = aligner.diagnostics()
            result.views = [self._view(aligners)]
        return result

    def _held_out(self, target: str) -> Aligner:
        """An aligner fitted on every encoder but the target, which then joins (Algorithm 1, lines 3, 9)."""
        aligner = self.make_aligner().fit({n: space for n, space in self.train.items() if n != target})
        aligner.join(target, self.train[target])
        return aligner

    def _features(self, aligners: dict[str, Aligner]) -> dict[Pair, Tensor]:
        """What the decoder of each source is trained on, for each test encoder."""
        return {
            (source, target): aligner.native(space.x, source)
            for target, aligner in aligners.items()
            for source, space in self.train.items()
            if aligner.carries(source, target)
        }

    def _decoders(self, features: dict[Pair, Tensor]) -> dict[Pair, Decoder]:
        """A decoder for each pair; one and the same where source and features are the same."""
        jobs: dict[tuple[str, str], tuple[str, Tensor]] = {}
        wanted = {}
        for (source, target), x in features.items():
            job = (source, _digest(x))
            jobs.setdefault(job, (source, x))
            wanted[source, target] = job
        fitted = self.fit_decoders(list(jobs.values()), self.train_labels, self.embeddings.classes)
        by_job = dict(zip(jobs, fitted, strict=True))
        return {pair: by_job[job] for pair, job in wanted.items()}

    def _rows(self, target: str, aligner: Aligner, decoders: dict[Pair, Decoder]) -> Iterator[Row]:
        """All numbers of one test encoder."""
        own = aligner.carry(self.test[target], target, target)
        values = {"rr_std": metrics.feature_std(own), "effective_rank": metrics.effective_rank(own)}
        yield from _as_rows(values, target, target, aligner.method)
        for source in self.train:
            if not aligner.carries(source, target):
                continue
            carried = aligner.carry(self.test[target], source, target)
            predicted = decoders[source, target].predict(carried)
            yield from _as_rows(self._classification(predicted), source, target, aligner.method)
            if source != target:
                native = aligner.native(self.test[source], source)
                yield from _as_rows(self._agreement(native, carried), source, target, aligner.method)

    def _classification(self, predicted: Tensor) -> dict[str, float]:
        return {
            "f1_weighted": metrics.weighted_f1(predicted, self.test_labels),
            "accuracy": metrics.accuracy(predicted, self.test_labels),
        }

    def _agreement(self, native: Tensor, carried: Tensor) -> dict[str, float]:
        """How well two representations of the same test samples agree."""
        found = metrics.retrieve(native, carried)
        return {
            "mrr": found.mrr(),
            "recall@1": found.recall(1),
            "recall@5": found.recall(5),
            "nmse": metrics.normalised_mse(native, carried),
            "cka": metrics.linear_cka(native, carried),
            "overlap": metrics.neighbourhood_overlap(native, carried, self.task.neighbours),
        }

    def _view(self, aligners: dict[str, Aligner]) -> dict[str, Any]:
        """The first test samples of the first two encoders, in a plane chosen on the first one's."""
        source, target = list(self.train)[:2]
        aligner, n = aligners[target], self.task.view_samples
        native = aligner.native(self.test[source][:n], source)
        shared = aligner.carries(source, target)
        carried = (
            aligner.carry(self.test[target][:n], source, target)
            if shared
            else aligner.native(self.test[target][:n], target)
        )
        plane = _principal_plane(native)
        return {
            "source": source,
            "target": target,
            "labels": self.test_labels[:n].tolist(),
            "shared": shared,
            "native": _rounded(plane(native)),
            "carried": _rounded(plane(carried) if shared else _principal_plane(carried)(carried)),
        }


def _as_rows(values: dict[str, float], source: str, target: str, method: str) -> Iterator[Row]:
    return (Row(source, target, method, metric, value) for metric, value in values.items())


def _digest(x: Tensor) -> str:
    return hashlib.sha256(x.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def _principal_plane(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Projection onto the first two principal axes of x [n, k], signs fixed by the largest loading."""
    mean = x.mean(0)
    found = torch.linalg.svd(x - mean, full_matrices=False).Vh[:2]
    axes = torch.cat([found, found.new_zeros(2 - len(found), x.shape[1])])
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return lambda points: (points - mean) @ (axes * signs).T


def _rounded(points: Tensor) -> list[list[float]]:
    return [[round(value, 4) for value in point] for point in points.tolist()]
