"""What a run needs of the hub: the one place that says which repository, and which files of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from glob import escape

from relrep_exp.data import layouts
from relrep_exp.hub.repo import Repo
from relrep_exp.hub.select import WEIGHTS
from relrep_exp.reads import own_pairs, views
from relrep_exp.schema import (
    Config,
    DataConfig,
    FilesParallel,
    ImagesData,
    ParallelConfig,
    Sib200Data,
    SubsetsParallel,
    TextsData,
    TimmEncoderConfig,
    TimmZoo,
    TransformersEncoderConfig,
    TransformersZoo,
    parts,
)

TIMM_FILES = ("config.json", *WEIGHTS)


def repos(config: Config) -> list[Repo]:
    """Everything of the hub that a run needs, in the order of the configuration, none twice."""
    read = views(config)
    paired = None if own_pairs(config) else dataset_repo(config.parallel, read, key="parallel")
    found = [dataset_repo(config.data, read), paired, *models(config).values()]
    return list(dict.fromkeys(repo for repo in found if repo is not None))


def merged(found: Iterable[Repo]) -> list[Repo]:
    """The needs of several runs, each repository once, with everything that any of them needs of it."""
    groups: dict[tuple[str, str, str | None], list[Repo]] = {}
    for repo in found:
        groups.setdefault((repo.kind, repo.id, repo.revision), []).append(repo)
    return [_union(group) for group in groups.values()]


def models(config: Config) -> dict[str, Repo]:
    """The zoo's encoders that come from the hub, with their repositories."""
    pretrained = [part for part in parts(config.zoo) if isinstance(part, TimmZoo | TransformersZoo)]
    found = {
        name: model_repo(f"zoo.encoders.{name}", encoder)
        for part in pretrained
        for name, encoder in part.encoders.items()
    }
    return {name: repo for name, repo in found.items() if repo is not None}


def model_repo(key: str, config: TimmEncoderConfig | TransformersEncoderConfig) -> Repo | None:
    """An encoder's repository; None if it has a local directory instead.

    Args:
        key: the configuration's key of the encoder.
        config: the encoder. A timm name without an owner is one of timm's own repositories.
    """
    if config.path is not None:
        return None
    if isinstance(config, TransformersEncoderConfig):
        return Repo(config.model, "model", config.revision, key=key)
    name = config.model if "/" in config.model else f"timm/{config.model}"
    return Repo(name, "model", config.revision, TIMM_FILES, key)


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


def _union(group: Sequence[Repo]) -> Repo:
    """One repository of several needs of it; () is everything."""
    everything = any(not repo.files for repo in group)
    files = () if everything else tuple(dict.fromkeys(name for repo in group for name in repo.files))
    return replace(group[0], files=files)
