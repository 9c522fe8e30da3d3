"""What the benchmarks share: a look at what is asked for, a clock, a profile, the machine's best products."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from relrep_exp.errors import Problem

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
