"""conf/zoo/bert and slm: text encoders and causal language models of transformers, before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.schema import RuntimeConfig, TransformersEncoderConfig, TransformersZoo
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.encoders import checkpoint, pretrained
from relrep_exp.errors import UserError
from relrep_exp.store import versions

if TYPE_CHECKING:
    from relrep_exp.encoders.encoder import EncoderSource
    from relrep_exp.encoders.text_model import TextEncoder


@dataclass(frozen=True)
class TextSource:
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

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Weights and tokenizer, by the hub's commit or a folder's files, and what is read off.

        Raises:
            UserError: the folder lacks files, or the hub's commit is not known.
        """
        config = self.config
        read = {"pooling": config.pooling, "layer": config.layer, "max_length": config.max_length}
        return {**self._weights(), **read, "dtype": self.dtype, "version": versions.TEXT_ENCODERS}

    def load(self) -> TextEncoder:
        """The encoder on the CPU.

        Raises:
            UserError: its files are missing, damaged or not what the configuration says.
        """
        from relrep_exp.encoders import text_loading

        return text_loading.load(self._folder(), self.config, self.dtype, self.key)

    def _weights(self) -> dict[str, Any]:
        if self.config.path is not None:
            return {"files": checkpoint.digests(self._folder(), self.key)}
        return pretrained.on_hub(self.key, self.config, self.offline)

    def _folder(self) -> Path:
        return pretrained.folder(self.key, self.config, self.offline)


def sources(zoo: TransformersZoo, runtime: RuntimeConfig) -> dict[str, EncoderSource]:
    """The zoo's encoders by name.

    Raises:
        UserError: folders of the user's own lack files: all that is wrong with all of them.
    """
    found: dict[str, EncoderSource] = {}
    problems = []
    for name, config in zoo.encoders.items():
        source = TextSource(f"zoo.encoders.{name}", config, zoo.dtype, runtime.offline)
        if config.path is not None:
            problems += checkpoint.problems(Path(config.path).expanduser(), source.key)
        found[name] = source
    if problems:
        raise UserError(problems)
    return found
