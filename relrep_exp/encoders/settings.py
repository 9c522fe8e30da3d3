"""How embeddings are computed, and what is said of samples that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relrep_exp.errors import Problem, UserError

if TYPE_CHECKING:
    import torch

NAMED = 5  # unreadable samples that a message names; it says how many more there are


@dataclass(frozen=True)
class Extraction:
    """How embeddings are computed; nothing here changes them beyond rounding.

    Attributes:
        device: where the encoder runs.
        devices: processes that share the shards, each with a device of its own (on the CPU: its own share).
        batch: rows in a batch at most, or "auto": what is fastest and fits, found on some of the samples.
        batch_tokens: rows times the longest of them, at most, for encoders whose samples differ in size.
        shard: rows that are written at once: what a kill may lose, and what is held in memory.
        workers: processes that prepare samples; 0 prepares them in the encoder's own process.
        compile: run the encoder through torch.compile.
        channels_last: lay images and the encoder's weights out with the channels innermost.
        progress: show a bar.
        on_error: what to do about a sample that cannot be read: stop, or leave it out.
    """

    device: torch.device
    devices: int = 1
    batch: int | Literal["auto"] = 64
    batch_tokens: int = 16384
    shard: int = 4096
    workers: int = 0
    compile: bool = False
    channels_last: bool = False
    progress: bool = False
    on_error: Literal["raise", "skip"] = "raise"


def unreadable(name: str, unread: Mapping[int, str]) -> UserError:
    """What a user is told about samples, row -> reason, that cannot be read."""
    what = f"encoder {name!r}: {spell(unread)}"
    return UserError(Problem(what, "mend the data, or leave such samples out with data.on_error=skip"))


def spell(unread: Mapping[int, str]) -> str:
    """Rows and reasons, the first few of them."""
    rows = sorted(unread)
    named = "; ".join(f"row {row} cannot be read: {unread[row]}" for row in rows[:NAMED])
    return named + (f"; and {len(rows) - NAMED} more" if len(rows) > NAMED else "")
