"""What lies in the hub's local cache, read without the network and without the hub's library."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relrep_exp.data.hub import select
from relrep_exp.data.hub.repo import Repo, cache_folder
from relrep_exp.store.files import write_atomic

_BRANCH = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Local:
    """A repository as far as it is here.

    Attributes:
        commit: which state of it; None if nothing says.
        folder: where the files of that state are, or would be.
        sizes: the needed files that are here, with their sizes in bytes.
        lacking: what is needed and not here; the reason in words, not always a file's name.
    """

    commit: str | None
    folder: Path
    sizes: Mapping[str, int]
    lacking: tuple[str, ...]


def branch_commit(repo: Repo) -> str | None:
    """The commit that the default branch had when it was last downloaded."""
    try:
        text = (_home(repo) / "refs" / _BRANCH).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _COMMIT.fullmatch(text) else None


def note_branch(repo: Repo, commit: str) -> None:
    """Remember the commit of the default branch, as the hub's own library does."""
    if branch_commit(repo) != commit:
        write_atomic(_home(repo) / "refs" / _BRANCH, commit.encode())


def find(repo: Repo) -> Local:
    """What is here of what is needed of a repository."""
    commit = repo.revision or branch_commit(repo)
    if commit is None:
        return Local(None, _home(repo), {}, ("all of it",))
    folder = _home(repo) / "snapshots" / commit
    listed = _listed(repo, commit)
    sizes, broken = _files(folder)
    if listed is None:
        names, lacking = select.wanted(repo, sizes)
        lacking += [name for name in select.wanted(repo, [*sizes, *broken])[0] if name in broken]
        lacking += [*select.missing_shards(names), *_unindexed(folder, names)]
    else:
        names, lacking = select.wanted(repo, listed)
        lacking += [name for name in names if sizes.get(name) != listed[name]]
    here = {name: sizes[name] for name in names if name in sizes}
    return Local(commit, folder, here, tuple(dict.fromkeys(lacking)))


def drop_damaged(local: Local) -> None:
    """Remove files that are not as long as they should be: the hub's library would leave them as they are."""
    for path in (local.folder / name for name in local.lacking):
        if path.is_file():
            path.resolve().unlink()
            path.unlink(missing_ok=True)


def _home(repo: Repo) -> Path:
    return cache_folder() / "--".join([f"{repo.kind}s", *repo.id.split("/")])


def _files(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Sizes of the files in a folder, and links that lead nowhere; what is not finished is not a file yet."""
    sizes, broken = {}, []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            sizes[name] = path.stat().st_size
        elif path.is_symlink():
            broken.append(name)
    return {name: size for name, size in sizes.items() if not name.endswith(".incomplete")}, broken


def _listed(repo: Repo, commit: str) -> dict[str, int] | None:
    """Every file of a commit with its size, if the hub's library has left its list."""
    try:
        content = json.loads((_home(repo) / "trees" / f"{commit}.json").read_text())
        if content["format_version"] != 1:
            return None
        return {str(name): int(entry["size"]) for name, entry in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _unindexed(folder: Path, names: list[str]) -> list[str]:
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
