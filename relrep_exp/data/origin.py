"""Where the texts of each language come from: a repository of the hub, or a copy of it in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from relrep_exp.data import hub, layouts
from relrep_exp.data.sources import dataset_repo, group
from relrep_exp.errors import Problem, UserError, every, nearest, user_error
from relrep_exp.store.keys import input_digest

if TYPE_CHECKING:
    from relrep_exp.config.schema import FilesParallel, Sib200Data, SubsetsParallel, TableParallel, TextsData
    from relrep_exp.data.hub import Repo

    Folders: TypeAlias = TextsData | Sib200Data | SubsetsParallel | FilesParallel
    Sources: TypeAlias = Folders | TableParallel


def codes(config: Sources, views: Sequence[str]) -> dict[str, str]:
    """Map views to what the source calls their languages; in the configuration's order.

    Raises:
        UserError: there is no such language; every one.
    """
    here = group(config)
    known = config.languages
    unknown = [
        Problem(
            f"{here}={config.name} has no texts in the language {view!r}",
            f"{nearest(view, known)}; or say what the source calls it: +{here}.languages.{view}=CODE",
        )
        for view in dict.fromkeys(views)
        if view not in known
    ]
    if unknown:
        raise UserError(unknown)
    return {view: code for view, code in known.items() if view in views}


def folder(config: Folders, views: Sequence[str], offline: bool) -> Path:
    """Find the folder of a local copy, or that of the repository's snapshot.

    Raises:
        UserError: there is none.
    """
    if config.root is not None:
        return _root(config)
    return hub.snapshot(_repo(config, views), offline)


def identities(
    config: Folders, views: Sequence[str], offline: bool, files: Callable[[Path, str], Iterable[Path]]
) -> dict[str, dict[str, Any]]:
    """Map views to what their texts are: the repository's commit, or the digest of a local copy's files.

    Args:
        config: the source.
        views: the languages.
        offline: whether the hub may be asked.
        files: from the folder and a view to its files, in order.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    named = codes(config, views)
    if config.root is None:
        commit = _commit(config, views, offline)
        return {view: {"code": code, "repo": config.repo, "commit": commit} for view, code in named.items()}
    root = _root(config)
    found = every({view: partial(files, root, view) for view in named})
    return {view: {"sha256": [input_digest(path) for path in paths]} for view, paths in found.items()}


def table_files(
    config: TextsData | Sib200Data | SubsetsParallel, splits: Sequence[str], root: Path, view: str
) -> list[Path]:
    """Find the files of a language, all of the first split before those of the next.

    Raises:
        UserError: a split has none; every problem.
    """
    key = f"{group(config)}.languages.{view}"
    code = config.languages[view]
    found = every({split: partial(layouts.find, root, code, split, key) for split in splits})
    return [path for paths in found.values() for path in paths]


def joined(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Join identities of views whose rows are those that all languages have: each names all of them."""
    everyone = [dict(parts) for parts in found.values()]
    return {view: {**parts, "joined": everyone} for view, parts in found.items()}


def _commit(config: Folders, views: Sequence[str], offline: bool) -> str:
    return hub.commit(_repo(config, views), offline)


def _repo(config: Folders, views: Sequence[str]) -> Repo:
    here = group(config)
    repo = dataset_repo(config, views, here)
    if repo is None:
        raise user_error(
            f"{here}={config.name} is read from files of yours", f"say where they are: {here}.root=DIR"
        )
    return repo


def _root(config: Folders) -> Path:
    root = Path(config.root or "").expanduser()
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such folder"
        raise user_error(
            f"{group(config)}.root={config.root}: {what}", f"give the folder that holds {config.name}"
        )
    return root
