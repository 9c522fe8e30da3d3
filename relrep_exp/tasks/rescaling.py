"""Is a decoder blind to scale? Inverse relative projection (arXiv:2406.15057) assumes so."""

from __future__ import annotations

from relrep_exp.alignment.metrics import rescaling as scale_study
from relrep_exp.config.schema import RescalingTask
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.tasks.decoders.plain_head import fit_plain_head
from relrep_exp.tasks.decoders.scaling import Scaling
from relrep_exp.tasks.result import Result
from relrep_exp.training.device import Training

FACTORS = (0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0, 100.0)


def rescaling(
    embeddings: Embeddings, task: RescalingTask, seed: int, training: Training, method: str
) -> Result:
    """One run: the accuracy of each encoder's own decoder on its test embeddings times each of the factors.

    Embeddings are standardised by their training rows before; the decoder is trained at factor 1.

    Args:
        embeddings: with labels.
        task: says the decoder's activation.
        seed: of the decoders.
        training: how a fit is run.
        method: the name in tables.
    """
    result = Result()
    for name, corpus in embeddings.tasks.items():
        assert corpus.labels is not None, "this task is checked to have labels"
        train = corpus.is_train
        scale = Scaling.fit("per_feature", corpus.x[train])
        x, y = scale(corpus.x[train]), corpus.labels[train]
        with result.timed("decoders"):
            head = fit_plain_head(x, y, embeddings.classes, task.activation, seed, training)
        with result.timed("measure"):
            test, labels = scale(corpus.x[~train]), corpus.labels[~train]
            found = scale_study(head, test, labels, FACTORS)
            result.add(name, name, method, {f"accuracy@{f:g}": value for f, value in found.items()})
    return result
