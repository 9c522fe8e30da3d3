"""Encoders that are made on the spot, before they are: trained or fitted on the task's samples, or computed.

Their settings and the samples that they are made from tell them from others; torch is imported when one is
loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from relrep_exp.config.schema import (
    AutoencoderZoo,
    Config,
    DistortedEncoderConfig,
    DistortedZoo,
    LocalBertZoo,
    LocalLmZoo,
    LocalZoo,
    LsaZoo,
    TemplatesData,
)
from relrep_exp.config.schema.types import POINT
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
    """One encoder that is made when it is first loaded.

    Attributes:
        name: in the zoo, for messages.
        config: its own settings.
        data: the task's samples.
        views: what the whole zoo reads, of images or in which languages. All are read together: which
            sentences of a parallel data set there are may depend on the languages.
        outputs: the folder of all results; where it is trained, its checkpoint lies there.
        made_from: what its identity calls the samples.
        version: of the code that makes it.
    """

    name: str
    config: Any
    data: Dataset
    views: tuple[str, ...]
    outputs: Path

    made_from: ClassVar[str] = "trained_on"
    version: ClassVar[int]

    @property
    def view(self) -> str:
        """What it reads: the language of its own, or what its whole zoo reads."""
        return str(getattr(self.config, "language", self.views[0]))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that determines it but the samples."""
        return asdict(self.config)

    def identity(self) -> dict[str, Any]:
        """Tell settings and the samples that it is made from.

        Raises:
            UserError: files are missing, or there is no such language.
        """
        samples = self.data.identity(self.views)[self.view]
        return {"encoder": self.settings, self.made_from: samples, "version": self.version}

    def own(self) -> View:
        """Read the samples of its view."""
        return self.data.load(self.views).views[self.view]

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


class LsaSource(MadeSource):
    """Latent semantic analysis, fitted when it is loaded, which takes seconds: it needs no checkpoint."""

    loader = "relrep_exp.encoders.lsa:load"
    made_from, version = "fitted_on", versions.LSA


class LocalImageSource(MadeSource):
    """A small image encoder."""

    loader = "relrep_exp.encoders.local.images:load"
    version = versions.LOCAL_ENCODERS


@dataclass(frozen=True)
class AutoencoderSource(MadeSource):
    """One autoencoder.

    Attributes:
        zoo: what it shares with the others.
    """

    zoo: AutoencoderZoo

    loader = "relrep_exp.encoders.local.autoencoder:load"
    version = versions.AUTOENCODERS

    @property
    def settings(self) -> dict[str, Any]:
        """Shape, anisotropy and training; not the zoo's other encoders, nor its name."""
        shared = {key: value for key, value in asdict(self.zoo).items() if key not in ("encoders", "name")}
        return {**shared, **asdict(self.config)}


class LocalBertSource(MadeSource):
    """A tiny BERT, trained on the texts of its own language alone."""

    loader = "relrep_exp.encoders.local.masked_language:load"
    version = versions.LOCAL_BERT


class LocalLmSource(MadeSource):
    """A tiny language model; the data's sentences are what it will be asked about, and never trained on."""

    loader = "relrep_exp.encoders.local.language_model:load"
    made_from, version = "kept_out", versions.LOCAL_LM

    def sentences(self) -> list[Sentence]:
        """Draw what it is trained on: none says what one of the data's sentences says, in whatever words."""
        train, test = templates.split(cast("TemplatesData", self.data.config))
        return templates.sentences(self.config.sentences, self.config.seed, exclude=train + test)


@dataclass(frozen=True)
class DistortedSource(EncoderSource):
    """One deformation of points, computed.

    Attributes:
        config: what it does to points.
        dim: d, that of the points.
    """

    config: DistortedEncoderConfig
    dim: int
    view: str = POINT

    loader = "relrep_exp.encoders.distorted:load"

    def identity(self) -> dict[str, Any]:
        """Tell its settings; the dimension is the samples'."""
        return {"encoder": asdict(self.config), "version": versions.DISTORTED}


def _of(kind: type[MadeSource], zoo: Any, data: Dataset, config: Config, *more: Any) -> dict[str, Any]:
    """One source of this kind for each encoder of the zoo, by name."""
    views, outputs = tuple(sorted(set(zoo.views))), Path(config.paths.outputs)
    return {name: kind(name, own, data, views, outputs, *more) for name, own in zoo.encoders.items()}


def _require_texts(data: Dataset) -> None:
    if "texts" not in data.config.holds:
        what = f"data={data.config.name} has no texts, which this zoo's encoders are made from"
        raise user_error(what, "use texts, such as data=template_reviews, or a zoo of image encoders")


def local(zoo: LocalZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of the local image zoos, by name."""
    return _of(LocalImageSource, zoo, data, config)


def autoencoder(zoo: AutoencoderZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of conf/zoo/autoencoders, by name."""
    return _of(AutoencoderSource, zoo, data, config, zoo)


def lsa(zoo: LsaZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of conf/zoo/lsa, by name.

    Raises:
        UserError: the data are no texts.
    """
    _require_texts(data)
    return _of(LsaSource, zoo, data, config)


def local_bert(zoo: LocalBertZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of conf/zoo/text_local, by name.

    Raises:
        UserError: the data are no texts.
    """
    _require_texts(data)
    return _of(LocalBertSource, zoo, data, config)


def local_lm(zoo: LocalLmZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of conf/zoo/slm_local, by name.

    Raises:
        UserError: the data are not the template sentences.
    """
    if not isinstance(data.config, TemplatesData):
        name = data.config.name
        what = f"data={name} does not go with this zoo, whose models know the template language alone"
        raise user_error(what, "use data=templates, or the pretrained models of zoo=slm")
    return _of(LocalLmSource, zoo, data, config)


def distorted(zoo: DistortedZoo, data: Dataset, config: Config) -> dict[str, EncoderSource]:
    """Make the sources of conf/zoo/distorted, by name, for points of the data's dimension."""
    dim = getattr(data.config, "dim", 0)  # other data than points are refused before anything is loaded
    return {name: DistortedSource(encoder, dim) for name, encoder in zoo.encoders.items()}
