"""A bar that counts samples over all processes: how many, how fast, how long it will still take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

_SECONDS = 0.2  # between two looks at the counters


class _Rate(ProgressColumn):
    """Samples per second."""

    def render(self, task: Task) -> Text:
        """Empty until the first samples are through."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} samples/s")


@contextmanager
def bar(name: str, total: int, done: Tensor) -> Iterator[None]:
    """Shows on stderr, during the block, how much of `total` the counters `done` [processes] add up to.

    The processes that count are not this one if there are several, so the bar looks instead of being told.
    """
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), _Rate())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task, over = progress.add_task(name, total=total), threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS):
            progress.update(task, completed=int(done.sum()))

    watcher = threading.Thread(target=watch, daemon=True)
    with progress:
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            progress.update(task, completed=int(done.sum()))
