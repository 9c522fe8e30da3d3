"""The one shape in which every task hands over its numbers."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One number.

    Attributes:
        source: the encoder whose representation the decoder was trained on.
        target: the encoder that is read at test time.
        method: the aligner with its parts, e.g. `absolute`, `random-cosine`, `param-wip`.
        metric: e.g. `f1_weighted`, `mrr`; always a fraction, never a percentage.
        value: the number; NaN where it is not defined.
    """

    source: str
    target: str
    method: str
    metric: str
    value: float
