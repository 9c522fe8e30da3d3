"""What Hydra composes of the words that choose files, and the single values that are set in it afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from operator import getitem
from typing import Any

from hydra import compose
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from relrep_exp.config import overrides as words
from relrep_exp.config.load import keys_of, load, load_experiment, resolved, typed
from relrep_exp.config.schema import Config, ExperimentConfig
from relrep_exp.config.views import languages, own_pairs_of
from relrep_exp.errors import UserError, user_error

OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


def _param_batch(batch: int, parallel: DictConfig, data: DictConfig, zoo: DictConfig) -> int:
    """What conf/anchors/param calls: the batch of PARAM, or what suits the samples that it learns P on."""
    views = len(languages(zoo.encoders)) if data.kind == "texts" else 1
    own = own_pairs_of(parallel.kind, parallel.use, data.kind, views)
    return (data if own else parallel).get("param_batch") or batch


OmegaConf.register_new_resolver("param_batch", _param_batch, replace=True)


@dataclass(frozen=True)
class Composed:
    """A configuration that some files make.

    Attributes:
        whole: all of it.
        keys: every dotted key.
        run: what a run needs.
        experiment: that it belongs to.
        values: of `run`; None while some are missing.
    """

    whole: DictConfig
    keys: list[str]
    run: DictConfig
    experiment: ExperimentConfig | None
    values: dict[Any, Any] | None

    @classmethod
    def of(cls, whole: DictConfig) -> Composed:
        """Its parts."""
        run = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "experiment"])
        try:
            values = resolved(run)
        except UserError:
            values = None  # a single value may be what is missing
        nested = OmegaConf.to_container(whole)
        assert isinstance(nested, dict)
        return cls(whole, keys_of(nested), run, load_experiment(whole.get("experiment")), values)

    def with_values(self, plain: Sequence[Override]) -> DictConfig:
        """All of it with these values.

        Raises:
            UserError: it does not have some of the keys.
        """
        return self._set(self.whole, plain)

    def typed(self, plain: Sequence[Override]) -> Config:
        """The run with these values as typed objects; an experiment, the same for all, is read once.

        Raises:
            UserError: it does not have some of the keys, or values do not fit.
        """
        if self.values is None or any(self._reads(override.key_or_group) for override in plain):
            return replace(load(self._set(self.run, plain)), experiment=self.experiment)
        self._require(plain)
        values = deepcopy(self.values)
        for override in plain:
            *path, name = override.key_or_group.split(".")
            reduce(getitem, path, values)[name] = override.value()
        return replace(typed(values), experiment=self.experiment)

    def _set(self, part: DictConfig, plain: Sequence[Override]) -> DictConfig:
        self._require(plain)
        config = part.copy()
        for override in plain:
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=False)
        return config

    def _require(self, plain: Sequence[Override]) -> None:
        """Of one arm of a sweep: the other arms may well have the key."""
        problems = [problem for override in plain for problem in words.key_problems(override, self.keys)]
        if problems:
            raise UserError(problems)

    def _reads(self, key: str) -> bool:
        """Whether some value may be made from that of this key."""
        root = key.split(".")[0]
        return any(re.search(rf"\b{root}\b", text) for text in self._made)

    @cached_property
    def _made(self) -> list[str]:
        """All values that are made from others."""
        return re.findall(r"\$\{.*", OmegaConf.to_yaml(self.run))


@lru_cache(maxsize=64)
def composed(choices: tuple[str, ...]) -> Composed:
    """What Hydra, which has to be initialised, makes of these words; many runs ask for the same.

    Raises:
        UserError: it makes nothing of them.
    """
    try:
        return Composed.of(compose("config", overrides=list(choices)))
    except HydraException as error:
        reason = " ".join(str(error).split())
        raise user_error(f"configuration: {reason}", "python run.py --help lists the choices") from None
