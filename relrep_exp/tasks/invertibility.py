"""How much of an absolute space is left in its relative representation (arXiv:2406.15057)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet, Space
from relrep_exp.alignment.inverse import reconstruction
from relrep_exp.alignment.parallel import Parallel
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.schema import InverseRelativeConfig
from relrep_exp.tasks.result import Result

Choose = Callable[[dict[str, Space]], AnchorSet]


def invertibility(
    embeddings: Embeddings, choose: Choose, aligner: InverseRelativeConfig, method: str
) -> Result:
    """One run: each encoder's test embeddings, made again from their cosines to its own anchors.

    Both in the coordinates that `aligner.scaling` gives, where the norm is what a cosine does not hold.

    Args:
        embeddings: of all encoders; each is measured alone.
        choose: picks the anchors of an encoder.
        aligner: scaling and ridge.
        method: the name in tables.
    """
    result = Result()
    for name, corpus in embeddings.paired.items():
        train: Tensor = corpus.x[corpus.is_train]
        with result.timed("align"):
            chosen = choose({name: Space(train)})
            anchors = chosen.mix(train[chosen.ids.to(train.device)])
        with result.timed("measure"):
            scale = Parallel.of(anchors, anchors, aligner.scaling).before
            found = reconstruction(scale(corpus.x[~corpus.is_train]), scale(anchors), aligner.ridge)
            kept = ("cosine", "relative_error", "rank", "condition")
            result.add(name, name, method, {f"reconstruction_{key}": found[key] for key in kept})
    return result
