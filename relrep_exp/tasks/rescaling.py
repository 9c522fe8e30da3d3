"""Is a decoder blind to scale? Inverse relative projection (arXiv:2406.15057) assumes so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.invariance import rescaling as scale_study
from relrep_exp.config.schema import RescalingTask
from relrep_exp.tasks.decoders.classifiers import Scaling
from relrep_exp.tasks.decoders.plain_head import fit_plain_head
from relrep_exp.tasks.identity import method_name
from relrep_exp.tasks.work import Result, Work

FACTORS = (0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0, 100.0)


def rescaling(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Measure the accuracy of each encoder's own decoder on its test embeddings times each of the factors.

    Embeddings are standardised by their training rows before; the decoder is trained at factor 1.

    Args:
        work: the run; embeddings have labels, and the task says the decoder's activation.
        aligners: none.
    """
    result, method, classes = Result(), method_name(work.config), work.embeddings.classes
    activation = cast(RescalingTask, work.config.task).activation
    for name, corpus in work.embeddings.tasks.items():
        assert corpus.labels is not None, "this task is checked to have labels"
        train = corpus.is_train
        scale = Scaling.fit("per_feature", corpus.x[train])
        x, y = scale(corpus.x[train]), corpus.labels[train]
        with work.timed("decoders"):
            head = fit_plain_head(x, y, classes, activation, work.config.seed, work.training)
        with work.timed("measure"):
            test, labels = scale(corpus.x[~train]), corpus.labels[~train]
            found = scale_study(head, test, labels, FACTORS)
            result.add(name, name, method, {f"accuracy@{f:g}": value for f, value in found.items()})
    return result
