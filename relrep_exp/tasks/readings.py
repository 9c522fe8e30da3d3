"""What decoders read, each computed once in a run."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.tasks.statistics_cache import Sharing


class Readings:
    """Some rows of every encoder as decoders read them, kept until the object goes.

    Equal representations are one object. With PARAM Single, for instance, anchors are the source's own: its
    decoder is trained on the same numbers whatever the test encoder is.

    Args:
        rows: encoder -> its embeddings, [N, d].
        keys: encoder -> identity of the embeddings that they are rows of.
        part: which rows of those, `train` or `test`.
        sharing: where representations are kept that are dear.
    """

    def __init__(self, rows: Mapping[str, Tensor], keys: Mapping[str, str], part: str, sharing: Sharing):
        self.rows, self._keys, self._part, self._sharing = rows, keys, part, sharing
        self._read: dict[tuple[str | tuple[Aligner, str], str], Tensor] = {}

    def __call__(self, aligner: Aligner, source: str, target: str) -> Tensor:
        """The target's rows as the source's decoder reads them, [N, k]; its own where they are the same."""
        reading = aligner.reading(source, target)
        name = (reading or (aligner, source), target)
        if name not in self._read:
            self._read[name] = self._sharing.representations(
                reading,
                (self._keys[target], self._part),
                self.rows[target],
                lambda x: aligner.carry(x, source, target),
            )
        return self._read[name]
