"""What a folder with weights of timm holds, told without loading anything."""

from __future__ import annotations

from pathlib import Path

from relrep_exp.errors import Problem

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is loaded, as timm does


def problems(folder: Path, key: str) -> list[Problem]:
    """What a folder of weights lacks; nothing is loaded."""
    if not folder.is_dir():
        return [Problem(f"{key}: there is no folder {folder}", remedy(key))]
    wanted = {CONFIG: (CONFIG,), " or ".join(WEIGHTS): WEIGHTS}
    return [
        Problem(f"{key}: {folder} has no {what}", remedy(key))
        for what, names in wanted.items()
        if not any((folder / name).is_file() for name in names)
    ]


def remedy(key: str) -> str:
    """What mends a folder that cannot be loaded."""
    own = "a folder with config.json and model.safetensors, as timm's save_for_hf writes them"
    return f"let {key}.path name {own}"


def weights(folder: Path) -> str:
    """The file of weights that is loaded."""
    return next((name for name in WEIGHTS if (folder / name).is_file()), WEIGHTS[0])


def architecture(model: str) -> str:
    """vit_small_patch16_224 of vit_small_patch16_224.augreg_in21k_ft_in1k, with or without an owner."""
    return model.rsplit("/", 1)[-1].split(".", 1)[0]
