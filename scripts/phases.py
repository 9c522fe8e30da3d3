"""Where a program's time and memory go: functions are wrapped, and each counts the time that is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relrep_exp.training.watching import watched


@dataclass
class Phase:
    """What is known of a phase.

    Attributes:
        seconds: in its functions, less what they spent in other phases.
        calls: of its functions.
        made: fits, heads and the like that they made.
        gflop: operations of its matrix products, counted, in 10^9.
        megabytes: the most memory that the process held meanwhile, in 10^6 bytes.
    """

    seconds: float = 0.0
    calls: int = 0
    made: int = 0
    gflop: float = 0.0
    megabytes: float = 0.0


class Phases:
    """A stack of phases; the time counts for the one on top.

    Args:
        device: where the work is done: cpu or cuda.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.known: dict[str, Phase] = {}
        self._stack: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Count the time of the block for a phase."""
        self._settle()
        own = self.known.setdefault(name, Phase())
        self._stack.append(name)
        own.calls += 1
        try:
            yield own
        finally:
            self._settle()
            self._stack.pop()

    def wrap(
        self,
        owner: Any,
        function: str,
        name: str,
        gflop: Callable[..., float],
        made: Callable[..., int] = lambda *_, **__: 1,
    ) -> None:
        """From now on a function is a phase.

        Args:
            owner: a class or a module.
            function: its name there.
            name: of the phase.
            gflop: operations of a call, from its arguments.
            made: things that a call makes, from its arguments.
        """
        inner = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name) as own:
                own.gflop += gflop(*args, **kwargs)
                own.made += made(*args, **kwargs)
                return inner(*args, **kwargs)

        is_class = isinstance(owner, type) and hasattr(inner, "__self__")
        setattr(owner, function, staticmethod(timed) if is_class else timed)

    @contextmanager
    def watching_memory(self, seconds: float = 0.02) -> Iterator[None]:
        """Look at the process's memory every few milliseconds, and tell the phase on top."""
        with watched(self._look, seconds):
            yield

    def _look(self) -> None:
        if self._stack:
            own = self.known[self._stack[-1]]
            own.megabytes = max(own.megabytes, megabytes(self.device))

    def _settle(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._stack:
            self.known[self._stack[-1]].seconds += now - self._since
        self._since = now


def megabytes(device: str) -> float:
    """What torch holds of the GPU, or this process's own memory, in 10^6 bytes."""
    if device == "cuda":
        return torch.cuda.memory_reserved() / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6
