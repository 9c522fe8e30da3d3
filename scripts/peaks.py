"""Peak memory of work in a process of its own, for the benchmarks beside this file."""

from __future__ import annotations

import ctypes
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")


def in_child(work: Callable[..., T], *given: Any) -> T:
    """What a function of a module returns in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *given).result()


class Peak:
    """The most memory held inside `with`, beyond what was held before; looked at every two milliseconds.

    Attributes:
        anonymous: MiB that no file stands behind, RssAnon; NaN where there is no /proc.
        mapped: MiB of pages of files, RssFile, which the system takes back when it needs room.
    """

    def __init__(self) -> None:
        self.anonymous = self.mapped = 0.0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        _trim()
        self._before = _resident()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            anonymous, mapped = (now - then for now, then in zip(_resident(), self._before, strict=True))
            # in this order, as max gives the first of two where one is NaN
            self.anonymous, self.mapped = max(anonymous, self.anonymous), max(mapped, self.mapped)
            time.sleep(0.002)


def _resident() -> tuple[float, float]:
    """RssAnon and RssFile of this process in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan"), float("nan")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024, int(fields["RssFile"].split()[0]) / 1024


def _trim() -> None:
    """Gives back what the allocator keeps, where it is glibc's: it would hide what the work takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
