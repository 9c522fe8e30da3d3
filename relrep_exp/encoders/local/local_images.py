"""The local image zoos: encoders trained on the task's own training samples, kept as checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relrep_exp.config.schema import Config, LocalEncoderConfig, LocalZoo
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store import versions


def sources(zoo: LocalZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name."""
    outputs = Path(config.paths.outputs)
    return {name: LocalSource(name, encoder, data, outputs) for name, encoder in zoo.encoders.items()}


@dataclass(frozen=True)
class LocalSource(EncoderSource):
    """One encoder, trained when it is first loaded.

    Attributes:
        name: in the zoo, for messages.
        config: architecture and training.
        data: what it is trained on.
        outputs: where its checkpoint lies.
    """

    name: str
    config: LocalEncoderConfig
    data: Dataset
    outputs: Path
    view: str = IMAGE

    loader = "relrep_exp.encoders.local.image_training:load"

    def identity(self) -> dict[str, Any]:
        """Tell architecture, training and the samples that it is trained on."""
        trained_on = self.data.identity([IMAGE])[IMAGE]
        return {"encoder": asdict(self.config), "trained_on": trained_on, "version": versions.LOCAL_ENCODERS}
