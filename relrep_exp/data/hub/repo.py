"""What a run needs of the Hugging Face hub, and where the hub and its local cache are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Repo:
    """A model or a data set of the hub.

    Attributes:
        id: owner/name.
        kind: whether it holds a model or data.
        revision: a full commit, or None for the default branch, whose commit is then resolved and recorded.
        files: patterns of what is needed; () is everything that can be read. Every entry of a data set must
            be there; "a|b" takes the first of its alternatives that exists. `*` crosses folders.
        key: the configuration's key that names it, for messages, such as zoo.encoders.vit_s.
    """

    id: str
    kind: Literal["model", "dataset"]
    revision: str | None = None
    files: tuple[str, ...] = ()
    key: str = ""

    @property
    def url(self) -> str:
        """Its page."""
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    def __str__(self) -> str:
        kind = "data set" if self.kind == "dataset" else "model"
        return f"{kind} {self.id}" + (f" ({self.key})" if self.key else "")


def endpoint() -> str:
    """Find the hub's address, of which a mirror may take the place (HF_ENDPOINT)."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def cache_folder() -> Path:
    """Find where downloads lie (HF_HUB_CACHE, or hub/ in HF_HOME)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def is_offline(offline: bool) -> bool:
    """Tell if the network must not be touched: runtime.offline, or HF_HUB_OFFLINE of the environment."""
    from huggingface_hub import constants

    return offline or bool(constants.HF_HUB_OFFLINE)
