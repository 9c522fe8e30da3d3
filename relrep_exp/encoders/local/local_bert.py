"""conf/zoo/text_local: tiny BERTs, each trained on the task's training texts of its own language alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relrep_exp.config.schema import Config, LocalBertConfig, LocalBertZoo
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.training_texts import TrainingTexts
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store import versions


def sources(zoo: LocalBertZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name.

    Raises:
        UserError: the data are no texts.
    """
    texts = TrainingTexts(data, [encoder.language for encoder in zoo.encoders.values()])
    outputs = Path(config.paths.outputs)
    return {name: LocalBertSource(encoder, texts, outputs) for name, encoder in zoo.encoders.items()}


@dataclass(frozen=True)
class LocalBertSource(EncoderSource):
    """One encoder, trained when it is first loaded.

    Attributes:
        config: architecture and training.
        texts: what it is trained on.
        outputs: where its checkpoint lies.
    """

    config: LocalBertConfig
    texts: TrainingTexts
    outputs: Path

    loader = "relrep_exp.encoders.local.masked_language:load"

    @property
    def view(self) -> str:
        """The language that it reads."""
        return self.config.language

    def identity(self) -> dict[str, Any]:
        """Tell architecture, training and the texts that it is trained on.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        trained_on = self.texts.identity(self.view)
        return {"encoder": asdict(self.config), "trained_on": trained_on, "version": versions.LOCAL_BERT}
