"""An autoencoder as the extraction engine sees it: images to latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.local.architectures import stacked
from relrep_exp.encoders.local.autoencoder import Autoencoder, ImageSettings

if TYPE_CHECKING:
    from relrep_exp.config.schema import AutoencoderZoo, ConvConfig


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
    """An autoencoder that draws its weights from torch's current generator, and its map from the seed."""
    return Autoencoder(shape, zoo.latent, zoo.anisotropy, zoo.shift, seed, image_settings(zoo))


def image_settings(config: AutoencoderZoo | ConvConfig) -> ImageSettings:
    """Channels and training of a zoo's autoencoders or of a decoder."""
    return ImageSettings(config.channels, config.epochs, config.least_steps, config.batch, config.lr)
