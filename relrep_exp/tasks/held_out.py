"""Leave one encoder out (Algorithm 1): what all tasks have in common.

For every test encoder an aligner is fitted on all the others, which then reads the test encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.data.image_samples import Picked
from relrep_exp.data.samples import ImageSamples
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.tasks.anchor_views import anchor_views
from relrep_exp.tasks.readings import Readings
from relrep_exp.tasks.result import SAMPLES, Result
from relrep_exp.tasks.statistics_cache import Sharing


class HeldOut:
    """Aligners for every test encoder, and how well they make two encoders agree.

    Args:
        embeddings: of all encoders; those that are paired across encoders serve here.
        make_aligner: a fresh aligner of the method under test.
        task: sizes of what is measured.
        sharing: what runs share; nothing by default.

    Attributes:
        train: encoder -> its training embeddings.
        test: encoder -> its test embeddings, [N, d].
        read: the test embeddings as decoders read them.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        make_aligner: Callable[[], Aligner],
        task: TaskConfig,
        sharing: Sharing | None = None,
    ):
        self.make_aligner, self.task = make_aligner, task
        sharing = sharing or Sharing()
        paired, keys = embeddings.paired, embeddings.keys
        self.train = {n: sharing.space(corpus.x[corpus.is_train], keys[n]) for n, corpus in paired.items()}
        self.test = {name: corpus.x[~corpus.is_train] for name, corpus in paired.items()}
        self.read = Readings(self.test, keys, "test", sharing)
        first = next(iter(paired.values()))
        self.images = _training_images(embeddings)
        self.test_labels = None if first.labels is None else first.labels[~first.is_train]

    def aligners(self, result: Result) -> dict[str, Aligner]:
        """For each test encoder an aligner fitted on all others, which it then joins (lines 3 and 9).

        Args:
            result: is added the seconds of both, `align` and `join`: of joining until every decoder can read
                the test encoder, so that maps which are estimated when they are first asked for count.
        """
        return {target: self._aligner(target, result) for target in self.task.test_encoders or self.train}

    def _aligner(self, target: str, result: Result) -> Aligner:
        others = {name: space for name, space in self.train.items() if name != target}
        with result.timed("align"):
            aligner = self.make_aligner().fit(others)
            for source, space in others.items():  # anchors that are learned on a decoder's own encoder
                aligner.native(space.x[:1], source)
        with result.timed("join"):
            aligner.join(target, self.train[target])
            for source in others:
                if aligner.carries(source, target):
                    aligner.carry(self.train[target].x[:1], source, target)
        return aligner

    def describe(self, aligners: dict[str, Aligner], result: Result) -> None:
        """Add what is known of each representation and of each pair's agreement."""
        for target, aligner in aligners.items():
            own = self.read(aligner, target, target)
            values = {"rr_std": metrics.feature_std(own), "effective_rank": metrics.effective_rank(own)}
            if any(aligner.carries(source, target) for source in self.train if source != target):
                values["parallel_points"] = aligner.points(target)
            result.add(target, target, aligner.method, values)
            result.diagnostics[target] = aligner.diagnostics()
        for source in self.train:
            for target, aligner in aligners.items():
                if source != target and aligner.carries(source, target):
                    result.add(source, target, aligner.method, self._agreement(aligner, source, target))
        for aligner in aligners.values():
            result.curves |= aligner.curves()
        source, target = self._shown(aligners)
        result.views = [self._view(aligners[target], source, target)]
        result.views += anchor_views(self.train, aligners[target], (source, target), self.images, self.task)

    def _agreement(self, aligner: Aligner, source: str, target: str) -> dict[str, float]:
        """How well the representations of the same test samples agree; the source's retrieve the target's."""
        native, carried = self.read(aligner, source, source), self.read(aligner, source, target)
        found = metrics.retrieve(native, carried)
        return {
            "mrr": found.mrr(),
            "recall@1": found.recall(1),
            "recall@5": found.recall(5),
            "nmse": metrics.normalised_mse(native, carried),
            "cka": metrics.linear_cka(native, carried),
            "overlap": metrics.neighbourhood_overlap(native, carried, self.task.neighbours),
        }

    def _shown(self, aligners: Mapping[str, Aligner]) -> tuple[str, str]:
        """The source and the target that figures show: the first two encoders, if the second is tested."""
        names = list(self.train)
        target = names[1] if names[1] in aligners else next(iter(aligners))
        return next(name for name in names if name != target), target

    def _view(self, aligner: Aligner, source: str, target: str) -> dict[str, Any]:
        """The first test samples of two encoders, in a plane chosen on the source's."""
        n = self.task.view_samples
        native = aligner.native(self.test[source][:n], source)
        shared = aligner.carries(source, target)
        carried = (
            aligner.carry(self.test[target][:n], source, target)
            if shared
            else aligner.native(self.test[target][:n], target)
        )
        plane = _principal_plane(native)
        return {
            "kind": SAMPLES,
            "source": source,
            "target": target,
            "labels": [0] * len(native) if self.test_labels is None else self.test_labels[:n].tolist(),
            "shared": shared,
            "native": rounded(plane(native)),
            "carried": rounded(plane(carried) if shared else _principal_plane(carried)(carried)),
        }


def _training_images(embeddings: Embeddings) -> ImageSamples | None:
    """The images of the paired training rows; None where the samples are no images."""
    if embeddings.images is None:
        return None
    first = next(iter(embeddings.paired.values()))
    return Picked(embeddings.images, first.is_train.nonzero()[:, 0].tolist())


def _principal_plane(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Projection onto the first two principal axes of x [n, k], signs fixed by the largest loading."""
    mean = x.mean(0)
    found = torch.linalg.svd(x - mean, full_matrices=False).Vh[:2]
    axes = torch.cat([found, found.new_zeros(2 - len(found), x.shape[1])])
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return lambda points: (points - mean) @ (axes * signs).T


def rounded(points: Tensor) -> list[list[float]]:
    """Points [n, 2] for a record: four digits are enough for a figure."""
    return [[round(value, 4) for value in point] for point in points.tolist()]
