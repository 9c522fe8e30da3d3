"""From a zoo's configuration to embeddings, whatever kind of zoo it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relrep_exp.encoders import local, precomputed
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.errors import Problem, UserError
from relrep_exp.schema import Config, DigitsData, LocalZoo, PrecomputedData


def identity(config: Config) -> dict[str, Any]:
    """What determines the embeddings, as part of a record's key.

    Raises:
        UserError: a file is missing, or data and zoo do not belong together.
    """
    if isinstance(config.zoo, LocalZoo):
        return local.identity(config.zoo, _digits(config))
    if not isinstance(config.data, PrecomputedData):
        raise _mismatch(config, "zoo=precomputed brings its own labels and split: use data=precomputed")
    return precomputed.identity(config.zoo)


def load(config: Config, progress: bool) -> Embeddings:
    """The embeddings, computed only where the store lacks them.

    Raises:
        UserError: the data or the files are not what the configuration says.
    """
    if isinstance(config.zoo, LocalZoo):
        return local.load(config.zoo, _digits(config), Path(config.paths.outputs), progress)
    return precomputed.load(config.zoo)


def _digits(config: Config) -> DigitsData:
    if isinstance(config.data, DigitsData):
        return config.data
    raise _mismatch(config, "a local zoo needs images to train on: use data=digits, or zoo=precomputed")


def _mismatch(config: Config, remedy: str) -> UserError:
    return UserError(Problem(f"data={config.data.name} does not go with this zoo", remedy))
