"""conf/zoo/lsa: latent semantic analysis of each language, fitted on the task's own training texts alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from relrep_exp.encoders.training_texts import TrainingTexts
from relrep_exp.errors import user_error
from relrep_exp.store import versions

if TYPE_CHECKING:
    from relrep_exp.config.schema import DataConfig, LsaEncoderConfig, LsaZoo
    from relrep_exp.encoders.encoder import Encoder, EncoderSource


def sources(zoo: LsaZoo, data: DataConfig, offline: bool) -> dict[str, EncoderSource]:
    """The zoo's encoders by name.

    Raises:
        UserError: the data are no texts.
    """
    texts = TrainingTexts(data, [config.language for config in zoo.encoders.values()], offline)
    return {name: LsaSource(f"zoo.encoders.{name}", config, texts) for name, config in zoo.encoders.items()}


@dataclass(frozen=True)
class LsaSource:
    """One encoder, fitted when it is loaded, which takes seconds: it needs no checkpoint.

    Attributes:
        key: where the configuration names it, for messages.
        config: n-grams and dimension.
        texts: what it is fitted on.
    """

    key: str
    config: LsaEncoderConfig
    texts: TrainingTexts

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Its settings and the texts that it is fitted on.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        fitted_on = self.texts.identity(self.view)
        return {"encoder": asdict(self.config), "fitted_on": fitted_on, "version": versions.LSA}

    def load(self) -> Encoder:
        """The fitted encoder.

        Raises:
            UserError: the texts are too few, or have too few n-grams, for its dimension.
        """
        from relrep_exp.encoders.lsa_encoder import LsaEncoder, TooFewError

        try:
            return LsaEncoder.fit(self.texts.texts(self.view), self.config)
        except TooFewError as few:
            what = f"{self.key}.dim={self.config.dim}: {few}"
            remedy = f"set {self.key}.dim below {few.most}" if few.most > 1 else "give it more texts"
            raise user_error(what, remedy) from None
