"""Where a run runs and how it trains: device, threads, progress, checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:  # alignment, which knows no configuration, has `Training` from here
    from relrep_exp.config.schema import RuntimeConfig

_THREADS = torch.get_num_threads()  # before any run of a sweep set its own
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Training:
    """How a fit is run; nothing here changes its result.

    Attributes:
        progress: show a progress bar.
        checkpoint: file that an interrupted fit resumes from; None keeps none.
        checkpoint_seconds: at most this much training is lost to a kill.
        on_epoch: told the epoch's number and mean losses, for live curves.
    """

    progress: bool = False
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    on_epoch: OnEpoch | None = None


@dataclass(frozen=True)
class Runtime:
    """The machine as a run uses it.

    Attributes:
        device: where tensors live.
        devices: processes side by side in an extraction; `all` are one for each GPU, or one on the CPU.
        progress: whether bars are shown.
        training: how fits are run.
    """

    device: torch.device
    devices: int
    progress: bool
    training: Training

    @classmethod
    def of(cls, config: RuntimeConfig) -> Runtime:
        """Choose the device and set the threads of torch and scikit-learn."""
        count = config.threads or _THREADS
        torch.set_num_threads(count)
        threadpool_limits(count)  # scikit-learn's own pools
        name = "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device
        device = torch.device("cpu" if name == "auto" else name)
        every = torch.cuda.device_count() if device.type == "cuda" else 1
        devices = every if config.devices == "all" else config.devices
        progress = config.progress == "on" or (config.progress == "auto" and sys.stderr.isatty())
        training = Training(progress=progress, checkpoint_seconds=config.checkpoint_seconds)
        return cls(device, devices, progress, training)
