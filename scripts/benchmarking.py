"""What the benchmarks share: a clock, and what the machine's products reach at best."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


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
