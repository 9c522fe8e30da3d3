"""What lies in the hub's local cache, read without the network and without the hub's library."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relrep_exp.data.hub import select
from relrep_exp.data.hub.repo import Repo, cache_folder
from relrep_exp.store.files import write_atomic

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Local:
    """A repository as far as it is here.

    Attributes:
        commit: which state of it; None if nothing says.
        folder: where the files of that state are, or would be.
        sizes: the needed files that are here, with their sizes in bytes.
        lacking: what is needed and not here, or not whole; the reason in words, not always a file's name.
    """

    commit: str | None
    folder: Path
    sizes: Mapping[str, int]
    lacking: tuple[str, ...]


def branch_commit(repo: Repo) -> str | None:
    """Find the commit that the default branch had when it was last downloaded."""
    try:
        text = _ref(repo).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _COMMIT.fullmatch(text) else None


def note_branch(repo: Repo, commit: str) -> None:
    """Remember the commit of the default branch: the library does so only for whatever is the newest now."""
    if branch_commit(repo) != commit:
        write_atomic(_ref(repo), commit.encode())


def find(repo: Repo) -> Local:
    """Find what is here of what is needed of a repository, and what lacks or is cut off."""
    commit = repo.revision or branch_commit(repo)
    if commit is None:
        return Local(None, _home(repo), {}, ("all of it",))
    folder = _home(repo) / "snapshots" / commit
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    sizes = {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
    listed = _listed(repo, commit)
    if listed is None:  # it came file by file, as transformers loads; a link may lead nowhere
        names, lacking = select.wanted(
            repo, [name for name in paths if name in sizes or paths[name].is_symlink()]
        )
        lacking += [name for name in names if name not in sizes]
        lacking += [*select.missing_shards(names), *_unindexed(folder, names)]
    else:
        names, lacking = select.wanted(repo, listed)
        lacking += [name for name in names if sizes.get(name) != listed[name]]
    here = {name: sizes[name] for name in names if name in sizes}
    return Local(commit, folder, here, tuple(dict.fromkeys(lacking)))


def _home(repo: Repo) -> Path:
    return cache_folder() / "--".join([f"{repo.kind}s", *repo.id.split("/")])


def _ref(repo: Repo) -> Path:
    return _home(repo) / "refs" / "main"


def _listed(repo: Repo, commit: str) -> dict[str, int] | None:
    """Every file of a commit with its size, if the hub's library has left its list.

    `get_cached_repo_tree` tells the same; its import takes .3 s, and a run that finds its record 2 s in all.
    """
    try:
        content = json.loads((_home(repo) / "trees" / f"{commit}.json").read_text())
        if content["format_version"] != 1:
            return None
        return {str(name): int(entry["size"]) for name, entry in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _unindexed(folder: Path, names: Sequence[str]) -> list[str]:
    """Parts of the weights that their index names and that are not here."""
    missing: set[str] = set()
    for name in names:
        if name.endswith(".index.json"):
            try:
                parts = set(json.loads((folder / name).read_text())["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return [name]
            missing |= parts - set(names)
    return sorted(missing)
