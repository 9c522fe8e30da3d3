"""A training step that a GPU replays as one graph, so that no time is lost in launching its kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor], None]
Replay = Callable[[], object]
Record = Callable[[Step, Tensor], Replay]

WARM_UP = 3  # steps that libraries need to choose and set up what they do before they can be recorded


class CapturedStep:
    """A step that is recorded once for each size of batch, and replayed from then on.

    All that it reads and writes stays where it is: it may neither wait for the device nor ask it for a
    number. The first steps of each size are done as they are.

    Args:
        step: trains on a batch of row numbers [B].
        record: records the step on a batch that stays in its place, and returns what replays it.
    """

    def __init__(self, step: Step, record: Record):
        self._step, self._record = step, record
        self._beside = Beside()
        self._seen = Counter[int]()
        self._recorded: dict[int, tuple[Tensor, Replay]] = {}

    def __call__(self, rows: Tensor) -> None:
        """Train on the rows [B]."""
        size = len(rows)
        self._seen[size] += 1
        if self._seen[size] <= WARM_UP:
            self._beside(self._step, rows)
            return
        if size not in self._recorded:
            place = rows.clone()
            self._recorded[size] = place, self._record(self._step, place)
        place, replay = self._recorded[size]
        place.copy_(rows)
        replay()


class Beside:
    """Does steps on a stream of their own, as a recording will; on the CPU, just so."""

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, step: Step, rows: Tensor) -> None:
        """Train on the rows [B]."""
        if not rows.is_cuda:
            step(rows)
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            step(rows)
        torch.cuda.current_stream().wait_stream(self._stream)


def record_cuda(step: Step, rows: Tensor) -> Replay:
    """A CUDA graph of the step; recording does nothing to the parameters."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(rows)
    return graph.replay
