"""conf/zoo/vision: image encoders of timm before they are loaded, and what a folder of theirs holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from relrep_exp.config.schema import Config, TimmEncoderConfig, TimmZoo
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.data.manifest import manifest
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders import zoo as zoos
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import Problem, UserError
from relrep_exp.store import versions

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is loaded, as timm does


def sources(zoo: TimmZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name.

    Raises:
        UserError: folders of the user's own lack files: all that is wrong with all of them.
    """
    found: dict[str, EncoderSource] = {}
    lacking = []
    for name, encoder in zoo.encoders.items():
        key, runtime = f"zoo.encoders.{name}", config.runtime
        found[name] = VisionSource(key, encoder, zoo.dtype, runtime.resize, runtime.offline)
        if encoder.path is not None:
            lacking += problems(Path(encoder.path).expanduser(), key)
    if lacking:
        raise UserError(lacking)
    return found


@dataclass(frozen=True)
class VisionSource(EncoderSource):
    """One encoder of the zoo.

    Attributes:
        key: where the configuration names it, for messages.
        config: which model.
        dtype: of the weights.
        resize: worker = timm's own transform; device = images are resized where the model is.
        offline: whether the hub must not be asked.
    """

    key: str
    config: TimmEncoderConfig
    dtype: Dtype
    resize: Literal["worker", "device"]
    offline: bool
    view: str = IMAGE

    loader = "relrep_exp.encoders.vision_model:load"

    def identity(self) -> dict[str, Any]:
        """Tell the weights, by the hub's commit or the digest of a folder's files, and how images reach them.

        The transform is the one that the files name; the classifier is always left out.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        how = {"classes": 0, "dtype": self.dtype, "resize": self.resize}
        return {**self._weights, **how, "version": versions.VISION_ENCODERS}

    def folder(self) -> Path:
        """Find the folder of its files, downloaded where they are missing and may be."""
        if self.config.path is not None:
            return Path(self.config.path).expanduser()
        return zoos.in_folder(self.key, self.config, self.offline)

    @cached_property
    def _weights(self) -> dict[str, Any]:
        if self.config.path is None:
            return zoos.on_hub(self.key, self.config, self.offline)
        folder = self.folder()
        if found := problems(folder, self.key):
            raise UserError(found)
        return {"files": manifest(folder, [CONFIG, weights(folder)])}


def problems(folder: Path, key: str) -> list[Problem]:
    """Find what a folder of weights lacks; nothing is loaded."""
    if not folder.is_dir():
        return [Problem(f"{key}: there is no folder {folder}", remedy(key))]
    wanted = {CONFIG: (CONFIG,), " or ".join(WEIGHTS): WEIGHTS}
    return [
        Problem(f"{key}: {folder} has no {what}", remedy(key))
        for what, names in wanted.items()
        if not any((folder / name).is_file() for name in names)
    ]


def remedy(key: str) -> str:
    """Say what mends a folder that cannot be loaded."""
    own = "a folder with config.json and model.safetensors, as timm's save_for_hf writes them"
    return f"let {key}.path name {own}"


def weights(folder: Path) -> str:
    """Name the file of weights that is loaded."""
    return next((name for name in WEIGHTS if (folder / name).is_file()), WEIGHTS[0])
