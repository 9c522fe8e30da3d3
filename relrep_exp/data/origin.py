"""Where files come from: a repository of the hub, or a copy of it in a folder of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from relrep_exp.config.schema import (
    PARALLEL,
    FilesParallel,
    ImagesData,
    Sib200Data,
    SubsetsParallel,
    TextsData,
)
from relrep_exp.data import hub, layouts
from relrep_exp.data.hub.repo import Repo
from relrep_exp.errors import Problem, UserError, every, nearest, user_error
from relrep_exp.store.inputs import expanded, input_digest, is_folder

if TYPE_CHECKING:
    from relrep_exp.config.schema import CaptionedData, TableParallel

Texts: TypeAlias = TextsData | Sib200Data | SubsetsParallel | FilesParallel


def group(config: Any) -> str:
    """Name the group of the configuration that this is: data or parallel."""
    return "parallel" if config.kind in PARALLEL else "data"


def repository(config: Any, views: Sequence[str]) -> Repo | None:
    """Find the repository of data, with the files of these views; None if they need none.

    Args:
        config: the data, or the parallel source.
        views: languages; those that the data does not have are the reader's to complain about.
    """
    if not isinstance(config, ImagesData | Texts) or config.repo is None or config.root is not None:
        return None
    if isinstance(config, ImagesData):  # the folder of the subset, wherever it is; without one everything
        name = None if config.subset is None else escape(config.subset)
        files: tuple[str, ...] = () if name is None else (f"{name}/*|*/{name}/*",)
        return Repo(config.repo, "dataset", config.revision, files, group(config))
    subsets = dict.fromkeys(config.languages[view] for view in views if view in config.languages)
    if isinstance(config, FilesParallel):
        files = tuple(map(escape, subsets))
    else:  # of each split the tables in the first layout that the repository has
        splits = splits_of(config)
        files = tuple("|".join(layouts.patterns(subset, [split])) for subset in subsets for split in splits)
    return Repo(config.repo, "dataset", config.revision, files, group(config))


def splits_of(config: TextsData | Sib200Data | SubsetsParallel) -> list[str]:
    """List the names of all splits that are read, each once."""
    if isinstance(config, SubsetsParallel):
        names = list(config.splits)
    elif isinstance(config, Sib200Data):
        names = [*config.train, *config.test]
    else:
        names = [config.train, config.test]
    return list(dict.fromkeys(names))


def local_folder(config: ImagesData | CaptionedData | Texts) -> Path:
    """Find the user's folder.

    Raises:
        UserError: none is named, or there is none.
    """
    here = group(config)
    if config.root is None:
        what = f"{here}={config.name} is read from files of yours"
        raise user_error(what, f"say where they are: {here}.root=DIR")
    root = expanded(config.root)
    if not is_folder(root):
        what = "it is a file" if root.exists() else "there is no such folder"
        raise user_error(f"{here}.root={config.root}: {what}", f"give the folder that holds {config.name}")
    return root


def folder(config: ImagesData | Texts, views: Sequence[str], offline: bool) -> Path:
    """Find the folder of a local copy, or that of the repository's snapshot.

    Raises:
        UserError: there is none.
    """
    repo = repository(config, views)
    return local_folder(config) if repo is None else hub.snapshot(repo, offline)


def codes(config: Texts | TableParallel, views: Sequence[str]) -> dict[str, str]:
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


def identities(
    config: Texts, views: Sequence[str], offline: bool, files: Callable[[Path, str], Iterable[Path]]
) -> dict[str, dict[str, Any]]:
    """Map views to what their texts are: the repository's commit, or the digest of a local copy's files.

    Args:
        config: the source.
        views: the languages.
        offline: whether the hub must not be asked.
        files: from the folder and a view to its files, in order.

    Raises:
        UserError: languages, files or the repository are missing; every problem.
    """
    named = codes(config, views)
    repo = repository(config, views)
    if repo is not None:
        commit = hub.commit(repo, offline)
        return {view: {"code": code, "repo": repo.id, "commit": commit} for view, code in named.items()}
    root = local_folder(config)
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
