"""From one group of the configuration, data or parallel, to its samples: which file reads which kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relrep_exp.config.schema import DATA, DataConfig, ParallelConfig
from relrep_exp.config.schema.types import Registry
from relrep_exp.data.hub.repo import Repo
from relrep_exp.data.origin import repository
from relrep_exp.store.inputs import reading

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
        "digits_described": "relrep_exp.data.digits",
        "images": "relrep_exp.data.images",
        "captioned": "relrep_exp.data.captioned",
        "texts": "relrep_exp.data.texts",
        "sib200": "relrep_exp.data.sib200",
        "templates": "relrep_exp.data.templates",
        "reviews": "relrep_exp.data.reviews",
        "clusters": "relrep_exp.data.clusters",
        "subsets": "relrep_exp.data.parallel",
        "table": "relrep_exp.data.parallel",
        "files": "relrep_exp.data.parallel",
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

    @property
    def _place(self) -> str:
        """What a message names where the system does not say which file it could not read."""
        return f"data={self.config.name}"

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
            with reading(self._place):
                found = READERS[self.config.kind].identity(self.config, views, self.offline)
            self._identities[asked] = found
        return self._identities[asked]

    def load(self, views: Sequence[str]) -> Samples:
        """Read the samples of these views.

        Raises:
            UserError: the files are not what the configuration says: every problem in one message.
        """
        asked = frozenset(views)
        if asked not in self._samples:
            with reading(self._place):
                self._samples[asked] = READERS[self.config.kind].load(self.config, views, self.offline)
        return self._samples[asked]

    def repo(self, views: Sequence[str]) -> Repo | None:
        """Find the repository of the hub that these views come from; None where they need none."""
        return repository(self.config, views)
