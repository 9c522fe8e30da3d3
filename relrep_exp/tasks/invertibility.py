"""How much of an absolute space is left in its relative representation (arXiv:2406.15057)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.inverse import reconstruction
from relrep_exp.alignment.parallel import AnchorsError, Parallel
from relrep_exp.config.schema import InverseRelativeConfig
from relrep_exp.errors import user_error
from relrep_exp.tasks.aligners import parallel_anchors
from relrep_exp.tasks.identity import method_name
from relrep_exp.tasks.work import Result, Work


def invertibility(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Make each encoder's test embeddings again from their cosines to its own anchors.

    Both in the coordinates that `aligner.scaling` gives, where the norm is what a cosine does not hold.

    Args:
        work: the run; each encoder is measured alone.
        aligners: none.

    Raises:
        UserError: anchors that say nothing, as all are equal.
    """
    result, method = Result(), method_name(work.config)
    choose, settings = parallel_anchors(work), cast(InverseRelativeConfig, work.config.aligner)
    for name, space in work.train.items():
        with work.timed("align"):
            chosen = choose({name: space})
            anchors = chosen.mix(space.x[chosen.ids.to(space.x.device)])
        with work.timed("measure"):
            try:
                scale = Parallel.of(anchors, anchors, settings.scaling).before
                found = reconstruction(scale(work.test[name]), scale(anchors), settings.ridge)
            except AnchorsError as error:
                remedy = "take other anchors, or leave out this encoder"
                raise user_error(f"{name}: {error}", remedy) from error
            kept = ("cosine", "relative_error", "rank", "condition")
            result.add(name, name, method, {f"reconstruction_{key}": found[key] for key in kept})
    return result
