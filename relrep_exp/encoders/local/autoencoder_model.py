"""An autoencoder as an encoder of images: trained once, kept as a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from relrep_exp.config.schema.types import IMAGE
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.local.autoencoder import Autoencoder, ImageSettings, train_autoencoder
from relrep_exp.encoders.local.image_training import common_shape, stacked, training_set
from relrep_exp.errors import user_error
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore

if TYPE_CHECKING:
    from relrep_exp.config.schema import AutoencoderZoo, ConvConfig
    from relrep_exp.encoders.local.autoencoder_zoo import AutoencoderSource
    from relrep_exp.training.device import Training


def load(source: AutoencoderSource, training: Training) -> AutoencoderEncoder:
    """Load the trained autoencoder of a source, from its checkpoint if there is one.

    Raises:
        UserError: the images differ in shape, or are smaller than the latent.
    """
    view, zoo, own = source.data.load([IMAGE]).views[IMAGE], source.zoo, source.own
    shape = common_shape(view.samples)
    values = shape[0] * shape[1] * shape[2]
    if zoo.latent > values:
        said = f"{' x '.join(map(str, shape))} = {values} values"
        what = f"zoo.latent={zoo.latent} is larger than the images, {said}"
        raise user_error(what, f"set zoo.latent={values} or less, or give larger images")
    key, folder = content_key(source.identity()), source.outputs / "checkpoints"

    def train() -> tuple[dict[str, Tensor], dict[str, Any]]:
        how = replace(training, checkpoint=folder / f"{key}.ckpt")
        images, _ = training_set(source.name, view, source.data.config)
        return dict(train_autoencoder(model, stacked(images), own.seed, how).state_dict()), asdict(own)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own.seed)
        model = untrained(zoo, own.seed, shape)
        entry = TensorStore(folder).get_or_compute(key, train)
    model.load_state_dict(entry.tensors)
    return AutoencoderEncoder(model.eval(), zoo.latent)


class AutoencoderEncoder(Encoder):
    """The latents of an autoencoder, which keeps its decoder at hand.

    Args:
        model: trained.
        dim: d.
    """

    def __init__(self, model: Autoencoder, dim: int):
        super().__init__()
        self.model, self.dim = model, dim

    def prepare(self, samples: Sequence[Any]) -> Tensor:
        """Images [H, W] or [H, W, 3], all alike -> uint8 [B, C, H, W]."""
        return stacked(samples)

    def forward(self, inputs: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> [B, d]."""
        return self.model.encode(inputs)


def untrained(zoo: AutoencoderZoo, seed: int, shape: tuple[int, int, int]) -> Autoencoder:
    """Make an autoencoder, its weights drawn from torch's current generator, its map from the seed."""
    return Autoencoder(shape, zoo.latent, zoo.anisotropy, zoo.shift, seed, image_settings(zoo))


def image_settings(config: AutoencoderZoo | ConvConfig) -> ImageSettings:
    """Read channels and training of a zoo's autoencoders or of a decoder."""
    return ImageSettings(config.channels, config.epochs, config.least_steps, config.batch, config.lr)
