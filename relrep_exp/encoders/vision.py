"""conf/zoo/vision: image encoders of timm before they are loaded, and what a folder of theirs holds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.manifest import manifest
from relrep_exp.encoders.checkpoint import inside, listing_problems
from relrep_exp.encoders.zoo import PretrainedSource, pretrained
from relrep_exp.errors import Problem, every
from relrep_exp.store import versions
from relrep_exp.store.inputs import is_file, is_folder

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is loaded, as timm does


class VisionSource(PretrainedSource):
    """An image encoder of timm."""

    view = IMAGE
    loader = "relrep_exp.encoders.vision_model:load"

    def identity(self) -> dict[str, Any]:
        """Tell the weights, by the hub's commit or the digest of a folder's files, and how images reach them.

        The transform is the one that the files name; the classifier is always left out.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        how = {"classes": 0, "dtype": self.dtype, "resize": self.runtime.resize}
        return {**self.weights, **how, "version": versions.VISION_ENCODERS}

    @staticmethod
    def problems(folder: Path, key: str) -> list[Problem]:
        """Find what a folder of weights lacks; nothing is loaded."""
        if not is_folder(folder):
            return [Problem(f"{key}: there is no folder {folder}", remedy(key))]
        wanted = {CONFIG: (CONFIG,), " or ".join(WEIGHTS): WEIGHTS}
        found = [
            Problem(f"{key}: {folder} has no {what}", remedy(key))
            for what, names in wanted.items()
            if not any(is_file(folder / name) for name in names)
        ]
        return found or listing_problems(files, folder, key)

    @staticmethod
    def digest(folder: Path) -> dict[str, Any]:
        """Digest the files that are loaded."""
        return manifest(folder, files(folder))


sources = partial(pretrained, VisionSource)


def remedy(key: str) -> str:
    """Say what mends a folder that cannot be loaded."""
    own = "a folder with config.json and model.safetensors, as timm's save_for_hf writes them"
    return f"let {key}.path name {own}"


def files(folder: Path) -> list[str]:
    """Name all files that are loaded; nothing else of the folder is.

    Raises:
        UserError: one leads out of the folder.
    """
    names = [CONFIG, weights(folder)]
    every({name: partial(inside, folder, name) for name in names})
    return names


def weights(folder: Path) -> str:
    """Name the file of weights that is loaded."""
    return next((name for name in WEIGHTS if is_file(folder / name)), WEIGHTS[0])
