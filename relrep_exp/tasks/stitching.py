"""Zero-shot stitching (Algorithm 1): a decoder trained on one encoder's representation reads another's.

Aligners are fitted on paired samples; decoders are trained and tested on the task's own, which may be the
same samples or, as with reviews in several languages, different ones for every encoder.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.tasks.decoders.classifiers import Decoder, FitDecoders, Job
from relrep_exp.tasks.held_out import HeldOut
from relrep_exp.tasks.readings import Readings
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.statistics_cache import Sharing

Pair = tuple[str, str]


class Stitching:
    """One run of the protocol.

    Args:
        embeddings: paired embeddings, and labelled ones for the decoders.
        make_aligner: a fresh aligner of the method under test.
        fit_decoders: trains decoders on training features.
        task: sizes of what is measured.
        sharing: what runs share; nothing by default.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        make_aligner: Callable[[], Aligner],
        fit_decoders: FitDecoders,
        task: TaskConfig,
        sharing: Sharing | None = None,
    ):
        self.sharing = sharing or Sharing()
        self.protocol = HeldOut(embeddings, make_aligner, task, self.sharing)
        self.fit_decoders, self.classes = fit_decoders, embeddings.classes
        self.corpora = embeddings.tasks
        self.own_pairs = all(embeddings.paired.get(n) is corpus for n, corpus in self.corpora.items())
        self.keys = embeddings.keys if self.own_pairs else embeddings.task_keys
        self.train_labels = {name: _labels(corpus, train=True) for name, corpus in self.corpora.items()}

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
            read = self.protocol.read
            if not self.own_pairs:
                read = Readings(self._rows(train=False), self.keys, "test", self.sharing)
            for target, aligner in aligners.items():
                self._classify(read, target, aligner, decoders, result)
        return result

    def _features(self, aligners: dict[str, Aligner]) -> dict[Pair, Tensor]:
        """What the decoder of each source is trained on, for each test encoder; equal ones are one object."""
        read = Readings(self._rows(train=True), self.keys, "train", self.sharing)
        return {
            (source, target): read(aligner, source, source)
            for target, aligner in aligners.items()
            for source in self.corpora
            if aligner.carries(source, target)
        }

    def _rows(self, train: bool) -> dict[str, Tensor]:
        """Each encoder's own samples of one part; those that the protocol has are not copied again."""
        if self.own_pairs:
            spaces = {name: space.x for name, space in self.protocol.train.items()}
            return spaces if train else self.protocol.test
        return {name: c.x[c.is_train if train else ~c.is_train] for name, c in self.corpora.items()}

    def _decoders(self, features: dict[Pair, Tensor]) -> dict[Pair, Decoder]:
        """A decoder for each pair; one and the same where source and features are the same."""
        jobs: dict[tuple[str, int], Job] = {}
        wanted = {}
        for (source, target), x in features.items():
            job = (source, id(x))
            jobs.setdefault(job, Job(source, x, self.train_labels[source]))
            wanted[source, target] = job
        fitted = self.fit_decoders(list(jobs.values()), self.classes)
        by_job = dict(zip(jobs, fitted, strict=True))
        return {pair: by_job[job] for pair, job in wanted.items()}

    def _classify(
        self, read: Readings, target: str, aligner: Aligner, decoders: dict[Pair, Decoder], result: Result
    ) -> None:
        """How well every source's decoder reads the target's test samples."""
        labels = _labels(self.corpora[target], train=False)
        for source in self.corpora:
            if aligner.carries(source, target):
                predicted = decoders[source, target].predict(read(aligner, source, target))
                values = {
                    "f1_weighted": metrics.weighted_f1(predicted, labels),
                    "accuracy": metrics.accuracy(predicted, labels),
                }
                result.add(source, target, aligner.method, values)


def _labels(corpus: Corpus, train: bool) -> Tensor:
    assert corpus.labels is not None, "stitching is checked to have labels"
    return corpus.labels[corpus.is_train if train else ~corpus.is_train]
