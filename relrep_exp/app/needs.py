"""What a run needs of the hub: which repositories, and which files of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relrep_exp.config.schema import Config
from relrep_exp.config.views import own_pairs, views
from relrep_exp.data.hub.repo import Repo
from relrep_exp.data.sources import dataset_repo
from relrep_exp.encoders.zoo import models


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


def _union(group: Sequence[Repo]) -> Repo:
    """One repository of several needs of it; () is everything."""
    everything = any(not repo.files for repo in group)
    files = () if everything else tuple(dict.fromkeys(name for repo in group for name in repo.files))
    return replace(group[0], files=files)
