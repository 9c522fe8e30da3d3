"""conf/zoo/bert and slm: text encoders and language models of transformers, before they are loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from relrep_exp.encoders.checkpoint import inside, listing_problems, shards
from relrep_exp.encoders.zoo import PretrainedSource, pretrained
from relrep_exp.errors import Problem, every
from relrep_exp.store import versions
from relrep_exp.store.inputs import input_digest, is_file, is_folder

CONFIG = "config.json"
# As transformers looks for them: the first that is there is loaded, whole or in shards that an index names.
_WEIGHTS = {
    "safetensors": ("model.safetensors", "model.safetensors.index.json"),
    "pickle": ("pytorch_model.bin", "pytorch_model.bin.index.json"),
}
# Any of these holds a vocabulary. Without one transformers silently makes a tokenizer of a few tokens.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken", "tekken.json")
_TOKENIZER = (
    *_VOCABULARIES,
    "tokenizer.*.json",
    "*.spm",
    "*.bpe",
    "*.codes",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


class TextSource(PretrainedSource):
    """A text encoder or language model of transformers."""

    loader = "relrep_exp.encoders.text_loading:load"

    @property
    def view(self) -> str:
        """The language that it reads."""
        return str(self.config.language)

    def identity(self) -> dict[str, Any]:
        """Tell weights and tokenizer, by the hub's commit or a folder's files, and what is read off.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        config = self.config
        read = {"pooling": config.pooling, "layer": config.layer, "max_length": config.max_length}
        return {**self.weights, **read, "dtype": self.dtype, "version": versions.TEXT_ENCODERS}

    @staticmethod
    def problems(folder: Path, key: str) -> list[Problem]:
        """Find what a user's folder, or the hub's local copy, lacks; nothing is loaded."""
        if not is_folder(folder):
            return [Problem(f"{key}: there is no folder {folder}", remedy(key))]
        wanted = {
            CONFIG: (CONFIG,),
            "weights, model.safetensors or pytorch_model.bin": [
                name for files in _WEIGHTS.values() for name in files
            ],
            "tokenizer, tokenizer.json or a vocabulary": _VOCABULARIES,
        }
        found = [
            Problem(f"{key}: {folder} has no {what}", remedy(key))
            for what, patterns in wanted.items()
            if not _matching(folder, patterns)
        ]
        if (folder / "adapter_config.json").exists():  # transformers would leave it out without a word
            what = f"{key}: {folder} holds an adapter, which is not applied"
            mended = f"merge it into its model (merge_and_unload) and save that; {remedy(key)}"
            found.append(Problem(what, mended))
        return found or listing_problems(files, folder, key)

    @staticmethod
    def digest(folder: Path) -> dict[str, Any]:
        """Digest the files that are loaded, by name."""
        return {name: input_digest(folder / name) for name in files(folder)}


sources = partial(pretrained, TextSource)


def remedy(key: str) -> str:
    """Say what mends a folder that cannot be loaded."""
    own = "a folder with config.json, model.safetensors and tokenizer.json, as save_pretrained writes them"
    return f"let {key}.path name {own}"


def files(folder: Path) -> list[str]:
    """Name all files that are loaded; nothing else of the folder is.

    Raises:
        UserError: one leads out of the folder, or an index names what is not there; every problem.
    """
    names = [path.name for path in _matching(folder, (CONFIG, *_TOKENIZER))]
    every({name: partial(inside, folder, name) for name in names})
    return sorted({*names, *weights(folder)})


def weights(folder: Path) -> list[str]:
    """Name the files of the weights, an index among them: safetensors where there are any, else pickles.

    Raises:
        UserError: one leads out of the folder, or an index names what is not there.
    """
    for whole, index in _WEIGHTS.values():
        if is_file(folder / whole):
            return [inside(folder, whole).name]
        if is_file(folder / index):
            return [index, *shards(folder, index)]
    return []


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON object of the folder; empty where there is no such file, or none that can be read."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if is_file(path)})
