"""Where the weights of a pretrained encoder are: a folder of the user's own, or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relrep_exp.schema import TimmEncoderConfig, TransformersEncoderConfig

if TYPE_CHECKING:
    from relrep_exp.hub import Repo

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
    from relrep_exp import hub

    return hub.snapshot(_repo(key, config), offline)


def on_hub(key: str, config: Pretrained, offline: bool) -> dict[str, str]:
    """What tells weights of the hub from others: the model and the commit.

    Raises:
        UserError: the commit is not known.
    """
    from relrep_exp import hub

    return {"model": config.model, "commit": hub.commit(_repo(key, config), offline)}


def _repo(key: str, config: Pretrained) -> Repo:
    from relrep_exp import needs

    repo = needs.model_repo(key, config)
    assert repo is not None, "a folder of the user's own has no repository"
    return repo
