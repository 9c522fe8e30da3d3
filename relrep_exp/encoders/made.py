"""Encoders that are made on the spot, before they are: trained or fitted on the task's samples, or computed.

Their settings and the samples that they are made from tell them from others; torch is imported when one is
loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from relrep_exp.config.schema import Config, TemplatesData
from relrep_exp.data import templates
from relrep_exp.data.sources import Dataset
from relrep_exp.encoders.zoo import EncoderSource
from relrep_exp.errors import user_error
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import Entry, TensorStore

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.data.samples import View
    from relrep_exp.data.templates import Sentence
    from relrep_exp.training.device import Training

    Train = Callable[[Training], tuple[dict[str, Tensor], dict[str, Any]]]


@dataclass(frozen=True)
class MadeSource(EncoderSource):
    """An encoder that is made when it is first loaded.

    Attributes:
        name: in the zoo, for messages.
        config: its own settings.
        zoo: the whole zoo.
        data: the task's samples.
        outputs: the folder of all results; where it is trained, its checkpoint lies there.
        version: of the code that makes it.
        made_from: what its identity calls the samples.
    """

    name: str
    config: Any
    zoo: Any
    data: Dataset
    outputs: Path

    version: ClassVar[int]
    made_from: ClassVar[str] = "trained_on"

    @property
    def view(self) -> str:
        """The language of its own, or what its whole zoo reads."""
        return str(getattr(self.config, "language", self.zoo.views[0]))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that determines it but the samples."""
        return asdict(self.config)

    def identity(self) -> dict[str, Any]:
        """Tell settings and the samples that it is made from.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        # All languages together: which sentences of a parallel data set there are may depend on them.
        samples = self.data.identity(sorted(set(self.zoo.views)))[self.view]
        return {"encoder": self.settings, self.made_from: samples, "version": self.version}

    def own(self) -> View:
        """Read the samples of its view."""
        return self.data.load(sorted(set(self.zoo.views))).views[self.view]

    def training_texts(self) -> list[str]:
        """List the texts of the training split, those that it may be made from."""
        view = self.own()
        return [str(view.samples[row]) for row in view.is_train.nonzero()[:, 0].tolist()]

    def kept(self, training: Training, train: Train) -> Entry:
        """Train the encoder, or read what an earlier run has trained.

        Args:
            training: how it is trained; where it was killed, it goes on from a checkpoint.
            train: gives its weights, and what is kept beside them.
        """
        key, folder = content_key(self.identity()), self.outputs / "checkpoints"
        return TensorStore(folder).get_or_compute(
            key, lambda: train(replace(training, checkpoint=folder / f"{key}.ckpt"))
        )


class LocalImageSource(MadeSource):
    """A small image encoder."""

    loader = "relrep_exp.encoders.local.images:load"
    version = versions.LOCAL_ENCODERS


class AutoencoderSource(MadeSource):
    """An autoencoder."""

    loader = "relrep_exp.encoders.local.autoencoder:load"
    version = versions.AUTOENCODERS

    @property
    def settings(self) -> dict[str, Any]:
        """Shape, anisotropy and training; not the zoo's other encoders, nor its name."""
        shared = {key: value for key, value in asdict(self.zoo).items() if key not in ("encoders", "name")}
        return {**shared, **asdict(self.config)}


class LsaSource(MadeSource):
    """Latent semantic analysis, fitted whenever it is loaded, which takes seconds."""

    loader = "relrep_exp.encoders.lsa:load"
    version, made_from = versions.LSA, "fitted_on"


class LocalBertSource(MadeSource):
    """A tiny BERT, trained on the texts of its own language alone."""

    loader = "relrep_exp.encoders.local.masked_language:load"
    version = versions.LOCAL_BERT


class LocalLmSource(MadeSource):
    """A tiny language model; the data's sentences are what it will be asked about, and never trained on."""

    loader = "relrep_exp.encoders.local.language_model:load"
    version, made_from = versions.LOCAL_LM, "kept_out"

    def sentences(self) -> list[Sentence]:
        """Draw what it is trained on: none says what one of the data's sentences says, in whatever words."""
        train, test = templates.split(cast("TemplatesData", self.data.config))
        return templates.sentences(self.config.sentences, self.config.seed, exclude=train + test)


class DistortedSource(MadeSource):
    """A known deformation of points."""

    loader = "relrep_exp.encoders.distorted:load"
    version = versions.DISTORTED

    def identity(self) -> dict[str, Any]:
        """Tell its settings; the dimension is the samples'."""
        return {"encoder": self.settings, "version": self.version}


SOURCES: dict[str, type[MadeSource]] = {
    "local": LocalImageSource,
    "autoencoder": AutoencoderSource,
    "lsa": LsaSource,
    "local_bert": LocalBertSource,
    "local_lm": LocalLmSource,
    "distorted": DistortedSource,
}


def sources(zoo: Any, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of a zoo of one of these kinds, by name.

    Raises:
        UserError: its encoders cannot be made from these data.
    """
    kind, name = SOURCES[zoo.kind], data.config.name
    if kind in (LsaSource, LocalBertSource) and "texts" not in data.config.holds:
        what = f"data={name} has no texts, which this zoo's encoders are made from"
        raise user_error(what, "use texts, such as data=template_reviews, or a zoo of image encoders")
    if kind is LocalLmSource and not isinstance(data.config, TemplatesData):
        what = f"data={name} does not go with this zoo, whose models know the template language alone"
        raise user_error(what, "use data=templates, or the pretrained models of zoo=slm")
    outputs = Path(config.paths.outputs)
    return {name: kind(name, own, zoo, data, outputs) for name, own in zoo.encoders.items()}
