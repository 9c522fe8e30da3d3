"""How much of an absolute space is left in its relative representation (arXiv:2406.15057)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet, Space
from relrep_exp.alignment.inverse import reconstruction
from relrep_exp.alignment.parallel import AnchorsError, Parallel
from relrep_exp.config.schema import InverseRelativeConfig
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import user_error
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.statistics_cache import Sharing

Choose = Callable[[dict[str, Space]], AnchorSet]


def invertibility(
    embeddings: Embeddings,
    choose: Choose,
    aligner: InverseRelativeConfig,
    method: str,
    sharing: Sharing | None = None,
) -> Result:
    """One run: each encoder's test embeddings, made again from their cosines to its own anchors.

    Both in the coordinates that `aligner.scaling` gives, where the norm is what a cosine does not hold.

    Args:
        embeddings: of all encoders; each is measured alone.
        choose: picks the anchors of an encoder.
        aligner: scaling and ridge.
        method: the name in tables.
        sharing: what runs share; nothing by default.

    Raises:
        UserError: anchors that say nothing, as all are equal.
    """
    result, sharing = Result(), sharing or Sharing()
    for name, corpus in embeddings.paired.items():
        train: Tensor = corpus.x[corpus.is_train]
        with result.timed("align"):
            chosen = choose({name: sharing.space(train, embeddings.keys[name])})
            anchors = chosen.mix(train[chosen.ids.to(train.device)])
        with result.timed("measure"):
            found = _measured(name, corpus.x[~corpus.is_train], anchors, aligner)
            kept = ("cosine", "relative_error", "rank", "condition")
            result.add(name, name, method, {f"reconstruction_{key}": found[key] for key in kept})
    return result


def _measured(name: str, x: Tensor, anchors: Tensor, aligner: InverseRelativeConfig) -> dict[str, float]:
    """What is recovered of one encoder's x."""
    try:
        scale = Parallel.of(anchors, anchors, aligner.scaling).before
        return reconstruction(scale(x), scale(anchors), aligner.ridge)
    except AnchorsError as error:
        raise user_error(f"{name}: {error}", "take other anchors, or leave out this encoder") from error
