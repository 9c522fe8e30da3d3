"""conf/zoo/lsa: latent semantic analysis of each language, fitted on the task's own training texts alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from relrep_exp.config.schema import Config, LsaEncoderConfig, LsaZoo
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.training_texts import TrainingTexts
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store import versions


def sources(zoo: LsaZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name.

    Raises:
        UserError: the data are no texts.
    """
    texts = TrainingTexts(data, [encoder.language for encoder in zoo.encoders.values()])
    return {name: LsaSource(f"zoo.encoders.{name}", encoder, texts) for name, encoder in zoo.encoders.items()}


@dataclass(frozen=True)
class LsaSource(EncoderSource):
    """One encoder, fitted when it is loaded, which takes seconds: it needs no checkpoint.

    Attributes:
        key: where the configuration names it, for messages.
        config: n-grams and dimension.
        texts: what it is fitted on.
    """

    key: str
    config: LsaEncoderConfig
    texts: TrainingTexts

    loader = "relrep_exp.encoders.lsa_encoder:load"

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Tell its settings and the texts that it is fitted on.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        fitted_on = self.texts.identity(self.view)
        return {"encoder": asdict(self.config), "fitted_on": fitted_on, "version": versions.LSA}
