"""conf/zoo/slm_local: tiny language models, each trained from scratch on template sentences of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from relrep_exp.config.schema import Config, LocalLmConfig, LocalLmZoo, TemplatesData
from relrep_exp.data import templates
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import user_error
from relrep_exp.store import versions

if TYPE_CHECKING:
    from relrep_exp.data.templates import Sentence


def sources(zoo: LocalLmZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo, by name.

    Raises:
        UserError: the data are not the template sentences.
    """
    if not isinstance(data.config, TemplatesData):
        name = data.config.name
        what = f"data={name} does not go with this zoo, whose models know the template language alone"
        raise user_error(what, "use data=templates, or the pretrained models of zoo=slm")
    outputs = Path(config.paths.outputs)
    return {name: LocalLmSource(encoder, data, outputs) for name, encoder in zoo.encoders.items()}


@dataclass(frozen=True)
class LocalLmSource(EncoderSource):
    """One language model, trained when it is first loaded.

    Attributes:
        config: architecture and training.
        data: the sentences that it will be asked about, and never sees in training.
        outputs: where its checkpoint lies.
    """

    config: LocalLmConfig
    data: Dataset
    outputs: Path

    loader = "relrep_exp.encoders.local.language_model:load"

    @property
    def view(self) -> str:
        """English."""
        return templates.VIEW

    def identity(self) -> dict[str, Any]:
        """Tell architecture, training, and the sentences that it is not trained on."""
        kept_out = self.data.identity([self.view])[self.view]
        return {"encoder": asdict(self.config), "kept_out": kept_out, "version": versions.LOCAL_LM}

    def sentences(self) -> list[Sentence]:
        """Draw what it is trained on: none says what one of the data's sentences says, in whatever words."""
        train, test = templates.split(cast("TemplatesData", self.data.config))
        return templates.sentences(self.config.sentences, self.config.seed, exclude=train + test)
