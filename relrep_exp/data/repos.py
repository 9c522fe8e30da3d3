"""From the configuration of data to the repository of the hub that they come from, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from glob import escape

from relrep_exp.config.schema import (
    DataConfig,
    FilesParallel,
    ImagesData,
    ParallelConfig,
    Sib200Data,
    SubsetsParallel,
    TextsData,
)
from relrep_exp.data import layouts
from relrep_exp.data.hub.repo import Repo


def dataset_repo(config: DataConfig | ParallelConfig, views: Sequence[str], key: str = "data") -> Repo | None:
    """The repository of data, with the files of these views; None if it needs none.

    Args:
        config: the data, or the parallel source.
        views: languages; those that the data does not have are the reader's to complain about.
        key: the configuration's key: data or parallel.
    """
    hosted = ImagesData | TextsData | Sib200Data | SubsetsParallel | FilesParallel
    if not isinstance(config, hosted) or config.repo is None or config.root is not None:
        return None
    files = _image_files(config) if isinstance(config, ImagesData) else _text_files(config, views)
    return Repo(config.repo, "dataset", config.revision, files, key)


def _image_files(config: ImagesData) -> tuple[str, ...]:
    """The folder of the subset, wherever it is; without a subset everything."""
    name = None if config.subset is None else escape(config.subset)
    return () if name is None else (f"{name}/*|*/{name}/*",)


def _text_files(
    config: TextsData | Sib200Data | SubsetsParallel | FilesParallel, views: Sequence[str]
) -> tuple[str, ...]:
    """For each language the tables of each split, in the first layout that the repository has."""
    subsets = dict.fromkeys(config.languages[view] for view in views if view in config.languages)
    if isinstance(config, FilesParallel):
        return tuple(map(escape, subsets))
    return tuple(
        "|".join(layouts.patterns(subset, [split])) for subset in subsets for split in _splits(config)
    )


def _splits(config: TextsData | Sib200Data | SubsetsParallel) -> list[str]:
    if isinstance(config, SubsetsParallel):
        return list(dict.fromkeys(config.splits))
    train, test = ([part] if isinstance(part, str) else part for part in (config.train, config.test))
    return list(dict.fromkeys([*train, *test]))
