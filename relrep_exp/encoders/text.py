"""conf/zoo/bert and slm: text encoders and causal language models of transformers, before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from relrep_exp.config.schema import Config, TransformersEncoderConfig, TransformersZoo
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders import checkpoint
from relrep_exp.encoders import zoo as zoos
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import UserError
from relrep_exp.store import versions


def sources(zoo: TransformersZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name.

    Raises:
        UserError: folders of the user's own lack files: all that is wrong with all of them.
    """
    found: dict[str, EncoderSource] = {}
    problems = []
    for name, encoder in zoo.encoders.items():
        key = f"zoo.encoders.{name}"
        found[name] = TextSource(key, encoder, zoo.dtype, config.runtime.offline)
        if encoder.path is not None:
            problems += checkpoint.problems(Path(encoder.path).expanduser(), key)
    if problems:
        raise UserError(problems)
    return found


@dataclass(frozen=True)
class TextSource(EncoderSource):
    """One encoder of the zoo.

    Attributes:
        key: where the configuration names it, for messages.
        config: which model, and how its states become one embedding.
        dtype: of the weights.
        offline: whether the hub must not be asked.
    """

    key: str
    config: TransformersEncoderConfig
    dtype: Dtype
    offline: bool

    loader = "relrep_exp.encoders.text_loading:load"

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Tell weights and tokenizer, by the hub's commit or a folder's files, and what is read off.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        config = self.config
        read = {"pooling": config.pooling, "layer": config.layer, "max_length": config.max_length}
        return {**self._weights, **read, "dtype": self.dtype, "version": versions.TEXT_ENCODERS}

    @cached_property
    def _weights(self) -> dict[str, Any]:
        if self.config.path is not None:
            return {"files": checkpoint.digests(Path(self.config.path).expanduser(), self.key)}
        return zoos.on_hub(self.key, self.config, self.offline)
