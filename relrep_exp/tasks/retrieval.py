"""Retrieval between encoders, no decoder: does a sample's representation find itself (Tables 3 and 7)?"""

from __future__ import annotations

from collections.abc import Mapping

from relrep_exp.alignment.aligner import Aligner, Readings
from relrep_exp.tasks.held_out import describe
from relrep_exp.tasks.work import Result, Work


def retrieval(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Let every test sentence of a source look for itself among those of the zero-shot encoder.

    The aligner of each pair never saw the zero-shot encoder (the row's target).
    """
    with work.timed("measure"):
        return describe(work, aligners, Readings(work.test))
