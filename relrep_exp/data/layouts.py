"""Where the table of one subset and one split lies: in a hub's repository, or in a user's folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from relrep_exp.data.textfile import QUESTION_FILES
from relrep_exp.errors import nearest, user_error

# suffix -> the reader in `datasets`; all but Parquet may end in .gz besides
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}

# The first that fits is taken. Behind the name there may be -00000-of-00002, and there is a suffix.
LAYOUTS = (
    "{subset}/{split}",  # de/train.csv, de/train-00000-of-00001.parquet, de/train.jsonl.gz
    "data/{subset}/{split}",  # data/deu_Latn/train.tsv
    "{subset}/{split}/*",  # de/train/0000.parquet
    "{split}/{subset}",  # validation/de.parquet
    "{split}/*_{subset}_{split}",  # train/dataset_de_train.json, as the original reviews
    "{subset}_{split}",
    "{subset}-{split}",
)
ALONE = ("{split}", "data/{split}")  # those of the subset "default": the data set has only one
DEFAULT = "default"

_PART = r"(-(?P<part>\d+)-of-(?P<parts>\d+))?"
_SUFFIX = r"\.(parquet|label|(csv|tsv|jsonl|json)(\.gz)?)"


def stems(subset: str, split: str) -> list[str]:
    """List what the files of a subset and split begin with, relative to the folder; `*` is any name."""
    layouts = ALONE if subset == DEFAULT else LAYOUTS
    return [layout.format(subset=subset, split=split) for layout in layouts]


def patterns(subset: str, splits: Sequence[str]) -> tuple[str, ...]:
    """List globs for the files of a subset, in the order in which `find` looks for them."""
    suffixes = (*FORMATS, *(f"{suffix}.gz" for suffix in FORMATS if suffix != ".parquet"))
    ends = [end for suffix in suffixes for end in (f"-*-of-*{suffix}", suffix)]
    subset = escape(subset)
    return tuple(f"{stem}{end}" for split in splits for stem in stems(subset, split) for end in ends)


def suffix(path: Path) -> str:
    """Name its format, .gz left out."""
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def find(root: Path, subset: str, split: str, key: str) -> list[Path]:
    """Find the files of a subset and split, in order.

    Args:
        root: the folder.
        subset: folder or part of the name; `DEFAULT` if there is but one.
        split: train, test and the like.
        key: the configuration's key of the subset, for messages.

    Raises:
        UserError: there are none, some are missing, or several formats of the same.
    """
    original = [QUESTION_FILES[split]] if subset == DEFAULT and split in QUESTION_FILES else []
    for stem in [*stems(subset, split), *original]:
        if found := _files(root, stem):
            _require_one_table(found)
            return found
    raise _nothing(root, subset, split, key)


def _files(root: Path, stem: str) -> list[Path]:
    folder, _, name = stem.rpartition("/")
    named = re.compile(re.escape(name).replace(r"\*", "[^/]+?") + _PART + _SUFFIX)
    below = root / folder
    return sorted(path for path in below.iterdir() if named.fullmatch(path.name)) if below.is_dir() else []


def _require_one_table(paths: Sequence[Path]) -> None:
    """Raises a UserError if the files are not the parts of one table."""
    formats = {"".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in paths}
    if len(formats) > 1:
        raise user_error(f"several tables: {', '.join(map(str, paths))}", "keep one of them there")
    numbered = [match for path in paths if (match := re.search(_PART + _SUFFIX + "$", path.name))]
    parts = {int(match["parts"]) for match in numbered if match["parts"]}
    if parts and parts != {len(paths)}:
        what = f"{paths[0].parent} holds {len(paths)} of {max(parts)} parts of {paths[0].name}"
        raise user_error(what, "copy or download the others, too")


def _nothing(root: Path, subset: str, split: str, key: str) -> Exception:
    there = sorted(path.name for path in root.iterdir())
    holds = f"it holds {', '.join(there[:8])}{', ...' if len(there) > 8 else ''}" if there else "it is empty"
    looked = ", ".join(f"{stem}.*" for stem in stems(subset, split)[:4])
    what = f"{root}: no table of {subset!r} for the split {split!r} (looked for {looked}); {holds}"
    names = {name.split(".")[0] for name in there}
    close = f"; {nearest(subset, names)}" if names and subset not in names else ""
    return user_error(what, f"copy it there as .csv, .tsv, .jsonl or .parquet, or set {key}=NAME{close}")
