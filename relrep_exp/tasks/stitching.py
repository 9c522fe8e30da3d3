"""Zero-shot stitching (Algorithm 1): a decoder trained on one encoder's representation reads another's.

Aligners are fitted on paired samples; decoders are trained and tested on the task's own, which may be the
same samples or, as with reviews in several languages, different ones for every encoder.
"""

from __future__ import annotations

from collections.abc import Mapping

from relrep_exp.alignment import metrics, sampling
from relrep_exp.alignment.aligner import Aligner, Readings
from relrep_exp.tasks.decoders.classifiers import Job, fit_decoders
from relrep_exp.tasks.held_out import describe, retrieval
from relrep_exp.tasks.work import Result, Work
from relrep_exp.training.seeding import scoped_seed


def stitching(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Train a decoder on what it reads of its own encoder, then let it read the test encoder.

    Where the user's own embeddings have no labels, the retrieval metrics are measured alone.
    """
    if all(corpus.labels is None for corpus in work.embeddings.tasks.values()):
        return retrieval(work, aligners)
    corpora, paired = work.embeddings.tasks, work.embeddings.paired
    classes, read = work.embeddings.classes, Readings(work.test)
    read_train, read_test = Readings(work.own), read
    if any(paired[name] is not corpus for name, corpus in corpora.items()):  # else nothing is copied again
        read_test = Readings({name: corpus.x[~corpus.is_train] for name, corpus in corpora.items()})

    jobs: dict[tuple[str, int], Job] = {}
    wanted: dict[tuple[str, str], tuple[str, int]] = {}  # pair -> its decoder
    with work.timed("align"):
        for target, aligner in aligners.items():
            for source, corpus in corpora.items():
                if aligner.carries(source, target):
                    x = read_train(aligner, source, source)
                    number = source, id(x)  # equal representations are one object, and need one decoder
                    assert corpus.labels is not None, "stitching is checked to have labels"
                    jobs.setdefault(number, Job(source, x, corpus.labels[corpus.is_train]))
                    wanted[source, target] = number

    with work.timed("decoders"):
        decoders = dict(zip(jobs, fit_decoders(work, list(jobs.values()), classes), strict=True))

    with work.timed("measure"):
        result = describe(work, aligners, read)
        for target, aligner in aligners.items():
            truth = corpora[target]
            assert truth.labels is not None, "stitching is checked to have labels"
            labels = truth.labels[~truth.is_train]
            for source in corpora:
                if aligner.carries(source, target):
                    decoder = decoders[wanted[source, target]]
                    predicted = decoder.predict(read_test(aligner, source, target))
                    draws = scoped_seed(work.config.seed, "test samples")  # the same for every pair
                    values = {
                        "f1_weighted": metrics.weighted_f1(predicted, labels),
                        "f1_weighted_se": sampling.weighted_f1_error(predicted, labels, draws),
                        "accuracy": metrics.accuracy(predicted, labels),
                        "accuracy_se": sampling.mean_error(predicted == labels),
                    }
                    result.add(source, target, aligner.method, values)
    return result
