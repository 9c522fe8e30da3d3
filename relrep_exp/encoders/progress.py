"""A bar that counts samples over all processes: how many, how fast, how long it will still take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from relrep_exp.training.watching import watched


class _Rate(ProgressColumn):
    """Samples per second."""

    def render(self, task: Task) -> Text:
        """Empty until the first samples are through."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} samples/s")


@contextmanager
def bar(name: str, total: int, done: Tensor) -> Iterator[None]:
    """Show on stderr, during the block, how much of `total` the counters `done` [processes] add up to.

    The processes that count are not this one if there are several, so the bar looks instead of being told.
    """
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), _Rate())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = progress.add_task(name, total=total)

    def look() -> None:
        progress.update(task, completed=int(done.sum()))

    with progress:
        try:
            with watched(look):
                yield
        finally:
            look()
