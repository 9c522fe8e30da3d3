"""What a run reads, worked out once: samples, encoders, and the keys of the embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import Config, PrecomputedZoo
from relrep_exp.config.views import own_pairs, views
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders import precomputed, zoo
from relrep_exp.encoders.embed import Extraction, Group, embed, keys
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import Problem, UserError, every

if TYPE_CHECKING:
    from relrep_exp.encoders.embeddings import Embeddings
    from relrep_exp.training.device import Runtime


class Asked:
    """The samples and encoders that a configuration asks for.

    Args:
        config: the run.
    """

    def __init__(self, config: Config):
        self.config, self.views, offline = config, views(config), config.runtime.offline
        self.data = Dataset(config.data, offline)
        self.paired = self.data if own_pairs(config) else Dataset(config.parallel, offline)

    @cached_property
    def missing(self) -> dict[str, Problem]:
        """Encoders that are dropped, each with what is wrong."""
        return zoo.missing(self.config)

    @cached_property
    def sources(self) -> dict[str, EncoderSource]:
        """The encoders that are left."""
        return zoo.sources(self.config, self.data, zoo.left(self.config, self.missing))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Tell the embeddings from others, as part of a record's key.

        Raises:
            UserError: files are missing; every problem.
        """
        config = self.config
        if isinstance(config.zoo, PrecomputedZoo):
            return {"data": {"name": config.data.name}, "encoders": precomputed.identity(config.zoo)}
        groups = dict.fromkeys((self.data, self.paired))
        return zoo.identity(config, groups, lambda: self.sources, self.missing)

    @cached_property
    def paired_keys(self) -> dict[str, str]:
        """Encoder -> the key of its paired embeddings, where no sample is left out; none is read."""
        return self._keys(self.paired)

    @cached_property
    def task_keys(self) -> dict[str, str]:
        """Encoder -> the key of the embeddings that decoders are trained and tested on."""
        return self._keys(self.data)

    def _keys(self, group: Dataset) -> dict[str, str]:
        if isinstance(self.config.zoo, PrecomputedZoo):
            return precomputed.keys(self.config.zoo)
        return keys(self.sources, group.identity(self.views))

    def own_problems(self) -> list[Problem]:
        """Find what is wrong with files of the user's own; what comes from the hub is not looked at."""
        jobs: dict[Any, Callable[[], Any]] = {
            group: partial(group.identity, self.views)
            for group in dict.fromkeys((self.data, self.paired))
            if group.repo(self.views) is None
        }
        jobs["encoders"] = lambda: self.sources
        try:
            every(jobs)
        except UserError as error:
            return error.problems
        return []

    def embeddings(self, runtime: Runtime) -> Embeddings:
        """Read the embeddings, computed only where the store lacks them.

        Raises:
            UserError: the data or the files are not what the configuration says.
        """
        config = self.config
        if isinstance(config.zoo, PrecomputedZoo):
            return precomputed.load(config.zoo)
        own = Group(self.data.load(self.views), self.data.identity(self.views))
        paired = own
        if self.paired is not self.data:
            paired = Group(self.paired.load(self.views), self.paired.identity(self.views))
        skipped = {name: problem.what for name, problem in self.missing.items()}
        notes = {"skipped_encoders": skipped} if skipped else {}
        training, outputs = runtime.training(), Path(config.paths.outputs)
        return embed(self.sources, own, paired, outputs, Extraction.of(config, runtime), notes, training)
