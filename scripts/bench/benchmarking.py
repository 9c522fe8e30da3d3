"""What the benchmarks share: checks of what is asked for, a clock, profiles, best products, peak memory."""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from relrep_exp.errors import Problem
from relrep_exp.training.watching import watched

T = TypeVar("T")

# What multiplies matrices: torch's operations on a CPU, and words in the names of a GPU's kernels.
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "gemm", "cutlass", "nvjet", "xmma")


def refused(args: argparse.Namespace, zero: tuple[str, ...] = ("threads",)) -> Iterator[Problem]:
    """Numbers that are too small, and a GPU, or what only it has, where there is none.

    Args:
        args: a benchmark's command line.
        zero: names of numbers that may be 0.
    """
    for name, value in vars(args).items():
        least = 0 if name in zero else 1
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not isinstance(number, bool) and number < least:
                yield Problem(f"{_option(name)} {number} is too small", f"give {least} or more")
            if isinstance(number, float) and not number > 0:
                yield Problem(f"{_option(name)} {number:g} is too small", "give more than 0")
    device, gpu = vars(args).get("device"), torch.cuda.is_available()
    if device == "cuda" and not gpu:
        yield Problem("--device cuda: torch sees no GPU here", "give --device cpu")
    for name in ("precision", "precisions"):
        if "tf32" in vars(args).get(name, ()) and not (gpu and device != "cpu"):
            yield Problem(f"{_option(name)} tf32: only a GPU has it", "give float32 or bf16")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def timed(work: Callable[[], object], device: str) -> float:
    """Wall-clock seconds of a call, the device's queue emptied before and after."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def by_turns(sides: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Median seconds of each, after one run of each that does not count, by turns."""
    for work in sides:
        work()
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for work, taken in zip(sides, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def gemm_peak(device: str, dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of the best of some 2048^3 products."""
    a = torch.randn(2048, 2048, device=device, dtype=dtype)
    return 2 * 2048**3 / min(timed(lambda: a @ a, device) for _ in range(10))


def print_operations(work: Callable[[], object], steps: int, device: str, rows: int = 16) -> None:
    """Run the work under a profiler; print what its operations take, by their own time, per step.

    The profiler's own cost is in the operations that are called often.

    Args:
        work: does the steps.
        steps: how many.
        device: whose time is told.
        rows: operations that are listed.
    """
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=kinds) as seen:
        timed(work, device)
    own = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    took = {event.key: getattr(event, own) / 1e3 / steps for event in seen.key_averages()}
    total = sum(took.values())
    products = sum(ms for key, ms in took.items() if any(part in key for part in PRODUCTS))
    told = f"products {products:.2f}, all else {total - products:.2f}"
    print(f"{steps} steps, profiled: {total:.2f} ms a step; {told}")
    for key, ms in sorted(took.items(), key=lambda item: -item[1])[:rows]:
        print(f"  {key[:40]:40s}{ms:9.3f} ms   {ms / total:6.1%}")


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
        # what glibc's allocator keeps would hide what the work takes
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
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
    """RssAnon and RssFile of this process in MiB; NaN where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan"), float("nan")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024, int(fields["RssFile"].split()[0]) / 1024


@dataclass
class Phase:
    """Count what a phase took.

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
            # what torch holds of the GPU, or this process's own memory
            held = torch.cuda.memory_reserved() if self.device == "cuda" else _resident()[0] * 2**20
            own.megabytes = max(own.megabytes, held / 1e6)

    def _settle(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._stack:
            self.known[self._stack[-1]].seconds += now - self._since
        self._since = now
