"""Where a run runs: device, threads, progress."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits

from relrep_exp.config.schema import RuntimeConfig
from relrep_exp.training import threads
from relrep_exp.training.batches import Training

_THREADS = torch.get_num_threads()  # before any run of a sweep set its own


@dataclass(frozen=True)
class Runtime:
    """The machine as a run uses it.

    Attributes:
        device: where tensors live.
        progress: whether bars are shown.
        config: what the user asked for.
    """

    device: torch.device
    progress: bool
    config: RuntimeConfig

    @classmethod
    def of(cls, config: RuntimeConfig) -> Runtime:
        """Choose the device and set the threads of torch and scikit-learn."""
        count = config.threads or threads.given() or _THREADS
        torch.set_num_threads(count)
        threadpool_limits(count)  # scikit-learn's own pools
        name = "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device
        device = torch.device("cpu" if name == "auto" else name)
        progress = config.progress == "on" or (config.progress == "auto" and sys.stderr.isatty())
        return cls(device, progress, config)

    @property
    def devices(self) -> int:
        """Processes side by side in an extraction; `all` are one for each GPU, or one on the CPU."""
        asked = self.config.devices
        if asked != "all":
            return asked
        return torch.cuda.device_count() if self.device.type == "cuda" else 1

    def training(self) -> Training:
        """How fits are run here."""
        return Training(progress=self.progress, checkpoint_seconds=self.config.checkpoint_seconds)
