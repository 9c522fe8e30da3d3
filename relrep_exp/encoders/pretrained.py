"""Where the weights of a pretrained encoder are: a folder of the user's own, or the hub."""

from __future__ import annotations

from pathlib import Path

from relrep_exp.config.schema import (
    Config,
    TimmEncoderConfig,
    TimmZoo,
    TransformersEncoderConfig,
    TransformersZoo,
    parts,
)
from relrep_exp.data import hub
from relrep_exp.data.hub.repo import Repo
from relrep_exp.data.hub.select import WEIGHTS

TIMM_FILES = ("config.json", *WEIGHTS)
Pretrained = TimmEncoderConfig | TransformersEncoderConfig


def folder(key: str, config: Pretrained, offline: bool) -> Path:
    """The folder with the files; they are downloaded where they are missing and the network may be used.

    Args:
        key: where the configuration names the encoder.
        config: which one.
        offline: whether the hub must not be asked.

    Raises:
        UserError: the hub does not give them.
    """
    if config.path is not None:
        return Path(config.path).expanduser()
    return hub.snapshot(_required(key, config), offline)


def on_hub(key: str, config: Pretrained, offline: bool) -> dict[str, str]:
    """What tells weights of the hub from others: the model and the commit.

    Raises:
        UserError: the commit is not known.
    """
    return {"model": config.model, "commit": hub.commit(_required(key, config), offline)}


def models(config: Config) -> dict[str, Repo]:
    """The zoo's encoders that come from the hub, with their repositories."""
    pretrained = [part for part in parts(config.zoo) if isinstance(part, TimmZoo | TransformersZoo)]
    found = {
        name: model_repo(f"zoo.encoders.{name}", encoder)
        for part in pretrained
        for name, encoder in part.encoders.items()
    }
    return {name: repo for name, repo in found.items() if repo is not None}


def model_repo(key: str, config: TimmEncoderConfig | TransformersEncoderConfig) -> Repo | None:
    """An encoder's repository; None if it has a local directory instead.

    Args:
        key: the configuration's key of the encoder.
        config: the encoder. A timm name without an owner is one of timm's own repositories.
    """
    if config.path is not None:
        return None
    if isinstance(config, TransformersEncoderConfig):
        return Repo(config.model, "model", config.revision, key=key)
    name = config.model if "/" in config.model else f"timm/{config.model}"
    return Repo(name, "model", config.revision, TIMM_FILES, key)


def _required(key: str, config: Pretrained) -> Repo:
    repo = model_repo(key, config)
    assert repo is not None, "a folder of the user's own has no repository"
    return repo
