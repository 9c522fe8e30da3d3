"""The local image zoos: encoders trained on the task's own training samples, kept as checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.views import IMAGE
from relrep_exp.data import sources as data_sources
from relrep_exp.data.image_samples import image_shape
from relrep_exp.data.samples import BadSampleError
from relrep_exp.encoders.settings import unreadable
from relrep_exp.errors import user_error
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.config.schema import DataConfig, LocalEncoderConfig, LocalZoo
    from relrep_exp.data.samples import View
    from relrep_exp.encoders.encoder import Encoder, EncoderSource
    from relrep_exp.training.device import Training

_RESIZING = "use pretrained encoders, which resize: zoo=vision"


def sources(
    zoo: LocalZoo, data: DataConfig, outputs: Path, offline: bool, training: Training | None
) -> dict[str, EncoderSource]:
    """The zoo's encoders; `training` may be None where only identities are asked for."""
    images = TrainingImages(data, offline)
    return {
        name: LocalSource(name, config, images, outputs, training) for name, config in zoo.encoders.items()
    }


@dataclass(frozen=True)
class TrainingImages:
    """The task's own samples; which ones is asked once for all encoders, as there may be many files."""

    data: DataConfig
    offline: bool

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What tells them, their labels and their split from others."""
        return data_sources.identity(self.data, [IMAGE], self.offline)[IMAGE]

    def view(self) -> View:
        """The samples themselves."""
        return data_sources.load(self.data, [IMAGE], self.offline).views[IMAGE]


@dataclass(frozen=True)
class LocalSource:
    """One encoder, trained when it is first loaded."""

    name: str
    config: LocalEncoderConfig
    images: TrainingImages
    outputs: Path
    training: Training | None
    view: str = IMAGE

    def identity(self) -> dict[str, Any]:
        """Architecture, training and the samples that it was trained on."""
        return {
            "encoder": asdict(self.config),
            "trained_on": self.images.identity,
            "version": versions.LOCAL_ENCODERS,
        }

    def load(self) -> Encoder:
        """The trained encoder, from its checkpoint if there is one."""
        import torch

        from relrep_exp.encoders.local.architectures import LocalImageEncoder, build
        from relrep_exp.store.tensors import TensorStore

        view = self.images.view()
        channels, size = square_shape(view.samples)
        key, store = content_key(self.identity()), TensorStore(self.outputs / "checkpoints")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = build(self.config, channels, size)
            encoder = LocalImageEncoder(network, self.config.dim)
            entry = store.get_or_compute(key, lambda: (self._train(encoder, view, key), asdict(self.config)))
        network.load_state_dict(entry.tensors)
        return encoder.eval()

    def _train(self, encoder: Any, view: View, key: str) -> dict[str, Tensor]:
        """Train on the training split alone and return the weights."""
        from relrep_exp.encoders.local.train_images import train_encoder

        assert self.training is not None and view.labels is not None
        training = replace(self.training, checkpoint=self.outputs / "checkpoints" / f"{key}.ckpt")
        images, rows = training_set(self.name, view, self.images.data)
        trained = train_encoder(encoder, encoder.prepare(images), view.labels[rows], self.config, training)
        return dict(trained.network.state_dict())


def training_set(name: str, view: View, data: DataConfig) -> tuple[list[Any], list[int]]:
    """The training images that can be read, and their rows.

    Raises:
        UserError: one cannot be read, and it may not be left out.
    """
    images, rows, unread = [], [], {}
    for row in view.is_train.nonzero()[:, 0].tolist():
        try:
            images.append(view.samples[row])
            rows.append(row)
        except BadSampleError as error:
            unread[row] = str(error)
    if unread and getattr(data, "on_error", "raise") == "raise":
        raise unreadable(name, unread)
    return images, rows


def common_shape(samples: Any, otherwise: str = "") -> tuple[int, int, int]:
    """Channels, height and width of the images, which must be all alike.

    Args:
        samples: the images.
        otherwise: what else than making them alike would help.

    Raises:
        UserError: they are not.
    """
    shape = image_shape(samples)
    if shape is None:
        what = "the images are of several sizes, or some are grey and some in colour"
        raise user_error(what, f"make them alike{otherwise}")
    return (1 if len(shape) == 2 else shape[2]), shape[0], shape[1]


def square_shape(samples: Any) -> tuple[int, int]:
    """Channels and size of images that are square and all alike.

    Raises:
        UserError: they are not.
    """
    channels, height, width = common_shape(samples, f", or {_RESIZING}")
    if height != width:
        what = f"the images are {height}x{width}, and a local encoder reads square ones"
        raise user_error(what, f"crop them, or {_RESIZING}")
    return channels, height
