"""Where a run runs: device, threads, progress."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import torch
from threadpoolctl import threadpool_limits

from relrep_exp.encoders.extraction import Extraction
from relrep_exp.modules.training import Training
from relrep_exp.schema import RuntimeConfig


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
        if config.threads:
            torch.set_num_threads(config.threads)
            threadpool_limits(config.threads)  # scikit-learn's own pools
        name = "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device
        device = torch.device("cpu" if name == "auto" else name)
        progress = config.progress == "on" or (config.progress == "auto" and sys.stderr.isatty())
        return cls(device, progress, config)

    def training(self) -> Training:
        """How fits are run here."""
        return Training(progress=self.progress, checkpoint_seconds=self.config.checkpoint_seconds)

    def extraction(self, on_error: Literal["raise", "skip"]) -> Extraction:
        """How embeddings are computed here."""
        asked = self.config
        return Extraction(
            device=self.device,
            devices=asked.devices,
            batch=asked.batch,
            batch_tokens=asked.batch_tokens,
            shard=asked.shard,
            workers=asked.workers,
            compile=asked.compile,
            channels_last=asked.channels_last,
            progress=self.progress,
            on_error=on_error,
        )
