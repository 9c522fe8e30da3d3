"""Which files of a repository are needed: one format of the weights, one format of the data, no programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from relrep_exp.data.hub.repo import Repo

WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
MODEL_FILES = ("*.json", "*.txt", "*.model", *WEIGHTS)
README = "README.md"  # of a data set: it says which files are which split

_INDEX = ".index.json"
_PICKLED = (".bin", ".pt", ".pth")
_TRAINING = re.compile(r"(training_args|optimizer|scheduler|rng_state|random_states).*")
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,})-of-(?P<total>\d{5,})(?P<rest>.*)")
_NO_DATA = (".py", ".md", ".gitattributes", ".gitignore", ".yaml", ".yml", ".lock")
_NO_DATA_NAMES = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")


def wanted(repo: Repo, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Select the files that are needed of those that are there, and name what lacks."""
    return _of_model(repo, sorted(names)) if repo.kind == "model" else _of_data(repo, sorted(names))


def weight_files(names: Iterable[str]) -> list[str]:
    """Select the weights among file names: in one format alone, safetensors if there is a choice."""
    safe = sorted(name for name in names if name.endswith(".safetensors"))
    if safe:
        return _whole_or_shards(safe, "model")
    pickled = sorted(n for n in names if n.endswith(_PICKLED) and not _TRAINING.fullmatch(n))
    return _whole_or_shards(pickled, "pytorch_model")


def missing_shards(names: Iterable[str]) -> list[str]:
    """Find what is missing of a file in parts, by the numbering of the parts that are there."""
    have = set(names)
    expected = set()
    for match in filter(None, map(_SHARD.fullmatch, have)):
        total = match["total"]
        first = int(match["rest"].endswith((".safetensors", *_PICKLED)))  # data count their parts from 0
        expected |= {
            f"{match['stem']}-{number:0{len(total)}d}-of-{total}{match['rest']}"
            for number in range(first, first + int(total))
        }
    return sorted(expected - have)


def _whole_or_shards(weights: Sequence[str], stem: str) -> list[str]:
    """One file under its usual name, else its parts, else whatever there is."""
    whole = [name for name in weights if PurePosixPath(name).stem == stem]
    shards = [name for name in weights if (match := _SHARD.fullmatch(name)) and match["stem"] == stem]
    return whole or shards or list(weights)


def _of_model(repo: Repo, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """A model's files lie in the repository's root; folders hold other formats of it."""
    patterns = repo.files or MODEL_FILES
    root = [n for n in names if "/" not in n and any(fnmatchcase(n, pattern) for pattern in patterns)]
    weights = weight_files(root)
    heavy = (".safetensors", *_PICKLED)
    others = [n for n in root if not n.endswith(heavy) and not _index_of_other(n, weights)]
    lacking = [] if weights else ["weights (*.safetensors or *.bin)"]
    if "config.json" not in others:
        lacking.insert(0, "config.json")
    return sorted([*others, *weights]), lacking


def _index_of_other(name: str, weights: Sequence[str]) -> bool:
    """Whether it lists the parts of a format that is not taken."""
    if not name.endswith(_INDEX):
        return False
    whole = PurePosixPath(name.removesuffix(_INDEX))  # model.safetensors, of which there are parts
    return not any(part.startswith(f"{whole.stem}-") and part.endswith(whole.suffix) for part in weights)


def _of_data(repo: Repo, names: Sequence[str]) -> tuple[list[str], list[str]]:
    data = [n for n in names if not n.endswith(_NO_DATA) and PurePosixPath(n).name not in _NO_DATA_NAMES]
    found: set[str] = set()
    lacking = []
    for entry in repo.files or ("*",):
        patterns = entry.split("|")
        matches = next(filter(None, ([n for n in data if fnmatchcase(n, p)] for p in patterns)), [])
        if not matches:
            lacking.append(patterns[0])
        # Parquet alone where there is any: what else there is holds the same rows again.
        found |= set([name for name in matches if name.endswith(".parquet")] or matches)
    return sorted(found | ({README} & set(names))), lacking
