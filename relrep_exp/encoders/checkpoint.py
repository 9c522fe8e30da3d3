"""The folder of a checkpoint of transformers: what must be in it, and what tells it from another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relrep_exp.errors import Problem, UserError
from relrep_exp.store.keys import input_digest

CONFIG = "config.json"
# As transformers looks for them: the first kind that is there is loaded, whole or in shards with an index.
_WEIGHTS = {
    "safetensors": ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"),
    "pickle": ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
}
# Any of these holds a vocabulary. Without one transformers silently makes a tokenizer of a few tokens.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken", "tekken.json")
_TOKENIZER = (
    *_VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_OWN = "a folder with config.json, model.safetensors and tokenizer.json, as save_pretrained writes them"


def remedy(key: str) -> str:
    """Say what mends a folder that cannot be loaded."""
    return f"let {key}.path name {_OWN}"


def problems(folder: Path, key: str) -> list[Problem]:
    """Find what the folder lacks; nothing is loaded.

    Args:
        folder: of a user, or the hub's local copy.
        key: where the configuration names the encoder.
    """
    if not folder.is_dir():
        return [Problem(f"{key}: there is no folder {folder}", remedy(key))]
    wanted = {
        CONFIG: (CONFIG,),
        "weights, model.safetensors or pytorch_model.bin": _whole_weights(),
        "tokenizer, tokenizer.json or a vocabulary": _VOCABULARIES,
    }
    found = [
        Problem(f"{key}: {folder} has no {what}", remedy(key))
        for what, patterns in wanted.items()
        if not _matching(folder, patterns)
    ]
    if (folder / "adapter_config.json").exists():  # transformers would leave the adapter out without a word
        what = f"{key}: {folder} holds an adapter, which is not applied"
        found.append(
            Problem(what, f"merge it into its model (merge_and_unload) and save that; {remedy(key)}")
        )
    return found


def digests(folder: Path, key: str) -> dict[str, str]:
    """Digest the files that determine embeddings, by name.

    Raises:
        UserError: some are missing.
    """
    if found := problems(folder, key):
        raise UserError(found)
    files = _matching(folder, (CONFIG, *_TOKENIZER, *_WEIGHTS[weights_kind(folder)]))
    return {file.name: input_digest(file) for file in files}


def weights_kind(folder: Path) -> str:
    """safetensors where there are any, else pickle."""
    return next((kind for kind, files in _WEIGHTS.items() if _matching(folder, files[:2])), "pickle")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of the folder; empty where there is no such file, or none that can be read."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole_weights() -> tuple[str, ...]:
    return tuple(name for files in _WEIGHTS.values() for name in files[:2])


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
