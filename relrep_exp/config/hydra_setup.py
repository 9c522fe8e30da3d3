"""Hydra made ready: what it has to know, and be kept from, before it composes anything."""

from __future__ import annotations

import os

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

OmegaConf.register_new_resolver("pid", os.getpid, replace=True)
# Hydra copies its repository whenever it composes or lists a group, and in it, node by node, this singleton
# of all that is registered: half of `--help`. What is read from it is copied all the same.
ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
