"""Zero-shot stitching (Algorithm 1): a decoder trained on one encoder's representation reads another's.

Aligners are fitted on paired samples; decoders are trained and tested on the task's own, which may be the
same samples or, as with reviews in several languages, different ones for every encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.schema import TaskConfig
from relrep_exp.tasks.decoders import Decoder, FitDecoders, Job
from relrep_exp.tasks.held_out import HeldOut
from relrep_exp.tasks.result import Result

Pair = tuple[str, str]


class Stitching:
    """One run of the protocol.

    Args:
        embeddings: paired embeddings, and labelled ones for the decoders.
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
        self.protocol = HeldOut(embeddings, make_aligner, task)
        self.fit_decoders, self.classes = fit_decoders, embeddings.classes
        self.corpora = embeddings.tasks
        self.train_labels = _shared([_labels(corpus, train=True) for corpus in self.corpora.values()])

    def run(self) -> Result:
        """Fit, train, measure."""
        result = Result()
        aligners = self.protocol.aligners(result)
        with result.timed("align"):
            features = self._features(aligners)
        with result.timed("decoders"):
            decoders = self._decoders(features)
        with result.timed("measure"):
            self.protocol.describe(aligners, result)
            for target, aligner in aligners.items():
                self._classify(target, aligner, decoders, result)
        return result

    def _features(self, aligners: dict[str, Aligner]) -> dict[Pair, Tensor]:
        """What the decoder of each source is trained on, for each test encoder."""
        return {
            (source, target): aligner.native(corpus.x[corpus.is_train], source)
            for target, aligner in aligners.items()
            for source, corpus in self.corpora.items()
            if aligner.carries(source, target)
        }

    def _decoders(self, features: dict[Pair, Tensor]) -> dict[Pair, Decoder]:
        """A decoder for each pair; one and the same where source and features are the same."""
        labels = dict(zip(self.corpora, self.train_labels, strict=True))
        jobs: dict[tuple[str, str], Job] = {}
        wanted = {}
        for (source, target), x in features.items():
            job = (source, digest(x))
            jobs.setdefault(job, Job(source, x, labels[source]))
            wanted[source, target] = job
        fitted = self.fit_decoders(list(jobs.values()), self.classes)
        by_job = dict(zip(jobs, fitted, strict=True))
        return {pair: by_job[job] for pair, job in wanted.items()}

    def _classify(self, target: str, aligner: Aligner, decoders: dict[Pair, Decoder], result: Result) -> None:
        """How well every source's decoder reads the target's test samples."""
        corpus = self.corpora[target]
        x, labels = corpus.x[~corpus.is_train], _labels(corpus, train=False)
        for source in self.corpora:
            if aligner.carries(source, target):
                predicted = decoders[source, target].predict(aligner.carry(x, source, target))
                values = {
                    "f1_weighted": metrics.weighted_f1(predicted, labels),
                    "accuracy": metrics.accuracy(predicted, labels),
                }
                result.add(source, target, aligner.method, values)


def _labels(corpus: Corpus, train: bool) -> Tensor:
    assert corpus.labels is not None, "stitching is checked to have labels"
    return corpus.labels[corpus.is_train if train else ~corpus.is_train]


def _shared(labels: list[Tensor]) -> list[Tensor]:
    """The same labels, where equal ones are one object: decoders of one object are trained side by side."""
    kept: list[Tensor] = []
    for y in labels:
        kept.append(next((earlier for earlier in kept if torch.equal(earlier, y)), y))
    return kept


def digest(x: Tensor) -> str:
    """SHA-256 of the numbers of x: whether two decoders would learn from the same features."""
    return hashlib.sha256(x.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
