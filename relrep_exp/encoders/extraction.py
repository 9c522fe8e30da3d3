"""From samples to embeddings, by one encoder: computed once, in shards that survive a kill, then read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.encoders.settings import Extraction, spell, unreadable
from relrep_exp.errors import user_error
from relrep_exp.store.shards import Parts, Plan, ShardStore

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.encoders.batching import AnySamples
    from relrep_exp.encoders.encoder import Encoder

_LOG = logging.getLogger("relrep_exp")


@dataclass(frozen=True)
class Extracted:
    """The embeddings of all samples.

    Attributes:
        x: float32, [N, d].
        ok: bool, [N]; False where a sample could not be read and was left out: its x is zero.
    """

    x: Tensor
    ok: Tensor


def extract(
    key: str,
    name: str,
    samples: AnySamples,
    load: Callable[[], Encoder],
    describe: Mapping[str, Any],
    outputs: Path,
    how: Extraction,
) -> Extracted:
    """The embeddings of `samples`, from the store, or else computed and put there.

    A process that is killed loses the shard that it was working on; the next one resumes behind the last
    finished shard. Of several processes that ask for the same key one computes, the others wait.

    Args:
        key: a `content_key` of all that determines them.
        name: the encoder's name, for bars and messages.
        samples: what `Encoder.prepare` takes a batch of; an item may raise `BadSampleError`.
        load: gives the encoder; called only if there is something to compute.
        describe: JSON, kept beside the embeddings.
        outputs: the folder of all results.
        how: devices, batches, ...

    Raises:
        UserError: a sample cannot be read and `how.on_error` is "raise", a batch does not fit into memory,
            an embedding is not finite, the disk is full, or the like. Finished shards are kept.
        KeyboardInterrupt: on Ctrl-C; finished shards are kept.
    """
    if not len(samples):
        raise user_error(f"encoder {name!r}: there are no samples", "choose data that hold some")

    def make(parts: Parts, pending: list[int]) -> None:
        from relrep_exp.encoders.predict import compute  # Lightning, which reading does without

        compute(name, samples, load(), how, parts, pending)

    store = ShardStore(outputs / "embeddings")
    stored = store.get_or_make(Plan(key, len(samples), how.shard), describe, make)
    if len(stored.x) != len(samples):
        raise ValueError(f"{key} holds {len(stored.x)} embeddings and there are {len(samples)} samples")
    if stored.unread:
        _tell(name, stored.unread, how.on_error)
    return Extracted(stored.x, stored.ok)


def _tell(name: str, unread: Mapping[int, str], on_error: str) -> None:
    """Of what an earlier run, or this one, has left out."""
    if on_error == "raise":
        raise unreadable(name, unread)
    _LOG.warning("encoder %r: %d samples are left out: %s", name, len(unread), spell(unread))
