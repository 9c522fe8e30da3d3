"""From one group of the configuration, data or parallel, to its samples: which file reads which kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from glob import escape
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relrep_exp.config.schema import (
    DATA,
    PARALLEL,
    DataConfig,
    FilesParallel,
    ImagesData,
    ParallelConfig,
    Sib200Data,
    SubsetsParallel,
    TextsData,
)
from relrep_exp.config.schema.types import Registry
from relrep_exp.data import layouts
from relrep_exp.data.hub.repo import Repo

if TYPE_CHECKING:
    from relrep_exp.data.samples import Samples


class Reader(Protocol):
    """Reads the samples of one kind: a module, or an object of a user's own."""

    def identity(self, config: Any, views: Sequence[str], offline: bool) -> dict[str, dict[str, Any]]:
        """See `Dataset.identity`."""

    def load(self, config: Any, views: Sequence[str], offline: bool) -> Samples:
        """See `Dataset.load`."""


R = TypeVar("R")

# Kind -> the module that reads it, or a reader that a user has registered
READERS = Registry(
    DATA,
    {
        "digits": "relrep_exp.data.digits",
        "digits_described": "relrep_exp.data.described_digits",
        "images": "relrep_exp.data.images",
        "captioned": "relrep_exp.data.captioned",
        "texts": "relrep_exp.data.texts",
        "sib200": "relrep_exp.data.sib200",
        "templates": "relrep_exp.data.templates",
        "reviews": "relrep_exp.data.reviews",
        "clusters": "relrep_exp.data.clusters",
        "subsets": "relrep_exp.data.paired_subsets",
        "table": "relrep_exp.data.paired_files",
        "files": "relrep_exp.data.paired_files",
    },
)


def data_source(kind: str, settings: type) -> Callable[[R], R]:
    """Register a reader of one's own, so that `data.kind=KIND` reads what it loads.

    @data_source("mine", MineData)
    class Mine:
        def identity(self, config, views, offline): return {view: {"file": ...} for view in views}
        def load(self, config, views, offline): return Samples(...)

    Args:
        kind: its name.
        settings: a dataclass with `kind` and `name`, and what its samples `holds` as a ClassVar.
    """

    def register(reader: R) -> R:
        READERS.register(kind, settings)(reader() if isinstance(reader, type) else reader)
        return reader

    return register


class Dataset:
    """The samples that one group of the configuration names; each question is answered once.

    Args:
        config: data or parallel.
        offline: whether the hub must not be asked.
    """

    def __init__(self, config: DataConfig | ParallelConfig, offline: bool):
        self.config, self.offline = config, offline
        self._identities: dict[frozenset[str], dict[str, dict[str, Any]]] = {}
        self._samples: dict[frozenset[str], Samples] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the samples: another process reads them when it needs them."""
        return {**self.__dict__, "_samples": {}}

    def identity(self, views: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Tell the samples of each view, their labels and their split from others; loads nothing heavy.

        Raises:
            UserError: files are missing, or a view does not exist: every problem in one message.
        """
        asked = frozenset(views)  # a view's rows may depend on which others there are, not on their order
        if asked not in self._identities:
            self._identities[asked] = READERS[self.config.kind].identity(self.config, views, self.offline)
        return self._identities[asked]

    def load(self, views: Sequence[str]) -> Samples:
        """Read the samples of these views.

        Raises:
            UserError: the files are not what the configuration says: every problem in one message.
        """
        asked = frozenset(views)
        if asked not in self._samples:
            self._samples[asked] = READERS[self.config.kind].load(self.config, views, self.offline)
        return self._samples[asked]

    def repo(self, views: Sequence[str]) -> Repo | None:
        """Find the repository of the hub that these views come from; None where they need none."""
        return dataset_repo(self.config, views, group(self.config))


def group(config: Any) -> str:
    """Name the group of the configuration that this is: data or parallel."""
    return "parallel" if config.kind in PARALLEL else "data"


def dataset_repo(config: Any, views: Sequence[str], key: str = "data") -> Repo | None:
    """Find the repository of data, with the files of these views; None if it needs none.

    Args:
        config: the data, or the parallel source.
        views: languages; those that the data does not have are the reader's to complain about.
        key: the configuration's key: data or parallel.
    """
    hosted = ImagesData | TextsData | Sib200Data | SubsetsParallel | FilesParallel
    if not isinstance(config, hosted) or config.repo is None or config.root is not None:
        return None
    if isinstance(config, ImagesData):  # the folder of the subset, wherever it is; without one everything
        name = None if config.subset is None else escape(config.subset)
        files: tuple[str, ...] = () if name is None else (f"{name}/*|*/{name}/*",)
    else:
        files = _text_files(config, views)
    return Repo(config.repo, "dataset", config.revision, files, key)


def _text_files(
    config: TextsData | Sib200Data | SubsetsParallel | FilesParallel, views: Sequence[str]
) -> tuple[str, ...]:
    """For each language the tables of each split, in the first layout that the repository has."""
    subsets = dict.fromkeys(config.languages[view] for view in views if view in config.languages)
    if isinstance(config, FilesParallel):
        return tuple(map(escape, subsets))
    if isinstance(config, SubsetsParallel):
        splits = config.splits
    else:
        train, test = ([part] if isinstance(part, str) else part for part in (config.train, config.test))
        splits = [*train, *test]
    return tuple(
        "|".join(layouts.patterns(subset, [split])) for subset in subsets for split in dict.fromkeys(splits)
    )
