"""Retrieval between encoders, no decoder: does a sample's representation find itself (Tables 3 and 7)?"""

from __future__ import annotations

from collections.abc import Callable

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.tasks.held_out import HeldOut
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.statistics_cache import Sharing


def retrieval(
    embeddings: Embeddings,
    make_aligner: Callable[[], Aligner],
    task: TaskConfig,
    sharing: Sharing | None = None,
) -> Result:
    """One run: every test sentence of a source looks for itself among those of the zero-shot encoder.

    The aligner of each pair never saw the zero-shot encoder (the row's target).
    """
    result, protocol = Result(), HeldOut(embeddings, make_aligner, task, sharing)
    aligners = protocol.aligners(result)
    with result.timed("measure"):
        protocol.describe(aligners, result)
    return result
