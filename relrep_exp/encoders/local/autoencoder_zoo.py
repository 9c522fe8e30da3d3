"""The zoo of autoencoders: trained on the task's own training images, kept as checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relrep_exp.config.schema import AutoencoderConfig, AutoencoderZoo, Config
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.store import versions


def sources(zoo: AutoencoderZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name."""
    outputs = Path(config.paths.outputs)
    return {name: AutoencoderSource(name, zoo, own, data, outputs) for name, own in zoo.encoders.items()}


@dataclass(frozen=True)
class AutoencoderSource(EncoderSource):
    """One autoencoder, trained when it is first loaded.

    Attributes:
        name: in the zoo, for messages.
        zoo: what it shares with the others.
        own: what sets it apart from them.
        data: what it is trained on.
        outputs: where its checkpoint lies.
    """

    name: str
    zoo: AutoencoderZoo
    own: AutoencoderConfig
    data: Dataset
    outputs: Path
    view: str = IMAGE

    loader = "relrep_exp.encoders.local.autoencoder_model:load"

    def identity(self) -> dict[str, Any]:
        """Tell shape, anisotropy, training and the images that it is trained on."""
        shared = {key: value for key, value in asdict(self.zoo).items() if key not in ("encoders", "name")}
        return {
            "encoder": {**shared, **asdict(self.own)},
            "trained_on": self.data.identity([IMAGE])[IMAGE],
            "version": versions.AUTOENCODERS,
        }
