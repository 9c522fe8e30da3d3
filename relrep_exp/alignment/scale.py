"""Tell of an additive constant, eps of Appendix B, that is not small beside an encoder's variance."""

from __future__ import annotations

import logging
from functools import cache

from torch import Tensor

from relrep_exp.alignment.whitening import Eps

_LOG = logging.getLogger("relrep_exp")
SHARE = 0.01  # of the mean variance: beyond, WIP is smaller by more than a percent
ROWS = 256  # that tell the mean variance well enough for that


def check_eps(name: str, x: Tensor, eps: Eps) -> None:
    """Warn where eps is more than a percent of the mean variance of an encoder's embeddings x [K, d]."""
    if eps == "auto" or len(x) < 2:
        return
    variance = float(x[:: max(1, len(x) // ROWS)].double().var(0).mean())
    if eps > SHARE * variance:
        _warn(
            f"{name}: aligner.eps={eps:g} is large beside the mean variance of its embeddings, "
            f"{variance:.1e}, and whitened inner products have about {variance / (variance + eps):.0%} of "
            "their size; use aligner.eps=auto (in Python eps='auto'), a share of that variance, or 0"
        )


@cache
def _warn(told: str) -> None:
    """Say it once: an encoder is let in again for every test encoder."""
    _LOG.warning(told)
