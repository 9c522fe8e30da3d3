"""The zoo of autoencoders: trained on the task's own training images, kept as checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp.config.views import IMAGE
from relrep_exp.encoders.local.local_images import TrainingImages, common_shape, training_set
from relrep_exp.errors import user_error
from relrep_exp.store import versions
from relrep_exp.store.keys import content_key

if TYPE_CHECKING:
    from torch import Tensor

    from relrep_exp.config.schema import AutoencoderConfig, AutoencoderZoo, DataConfig
    from relrep_exp.data.samples import View
    from relrep_exp.encoders.local.autoencoder_model import AutoencoderEncoder
    from relrep_exp.training.device import Training


def sources(
    zoo: AutoencoderZoo, data: DataConfig, outputs: Path, offline: bool, training: Training | None
) -> dict[str, AutoencoderSource]:
    """The zoo's encoders; `training` may be None where only identities are asked for."""
    images = TrainingImages(data, offline)
    return {
        name: AutoencoderSource(name, zoo, own, images, outputs, training)
        for name, own in zoo.encoders.items()
    }


@dataclass(frozen=True)
class AutoencoderSource:
    """One autoencoder, trained when it is first loaded."""

    name: str
    zoo: AutoencoderZoo
    own: AutoencoderConfig
    images: TrainingImages
    outputs: Path
    training: Training | None
    view: str = IMAGE

    def identity(self) -> dict[str, Any]:
        """Shape, anisotropy, training and the images that it was trained on."""
        shared = {key: value for key, value in asdict(self.zoo).items() if key not in ("encoders", "name")}
        return {
            "encoder": {**shared, **asdict(self.own)},
            "trained_on": self.images.identity,
            "version": versions.AUTOENCODERS,
        }

    def load(self) -> AutoencoderEncoder:
        """The trained autoencoder, from its checkpoint if there is one.

        Raises:
            UserError: the images differ in shape, or are smaller than the latent.
        """
        import torch

        from relrep_exp.encoders.local.autoencoder_model import AutoencoderEncoder, untrained
        from relrep_exp.store.tensors import TensorStore

        view = self.images.view()
        shape = _large_enough(common_shape(view.samples), self.zoo.latent)
        key, store = content_key(self.identity()), TensorStore(self.outputs / "checkpoints")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.own.seed)
            model = untrained(self.zoo, self.own.seed, shape)
            entry = store.get_or_compute(key, lambda: (self._train(model, view, key), asdict(self.own)))
        model.load_state_dict(entry.tensors)
        return AutoencoderEncoder(model.eval(), self.zoo.latent)

    def _train(self, model: Any, view: View, key: str) -> dict[str, Tensor]:
        """Train on the training split alone and return the weights."""
        from relrep_exp.encoders.local.architectures import stacked
        from relrep_exp.encoders.local.autoencoder import train_autoencoder

        assert self.training is not None
        training = replace(self.training, checkpoint=self.outputs / "checkpoints" / f"{key}.ckpt")
        images, _ = training_set(self.name, view, self.images.data)
        return dict(train_autoencoder(model, stacked(images), self.own.seed, training).state_dict())


def _large_enough(shape: tuple[int, int, int], latent: int) -> tuple[int, int, int]:
    """The shape itself, where a latent of that size is no larger than the image."""
    values = shape[0] * shape[1] * shape[2]
    if latent > values:
        said = f"{' x '.join(map(str, shape))} = {values} values"
        what = f"zoo.latent={latent} is larger than the images, {said}"
        raise user_error(what, f"set zoo.latent={values} or less, or give larger images")
    return shape
