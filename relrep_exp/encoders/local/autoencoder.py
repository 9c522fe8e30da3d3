"""Convolutional autoencoders with an induced anisotropy (Appendix E.3), and decoders that draw images.

Pixels are in [0, 1]; an image decoder ends in a sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.local.images import common_shape, stacked, training_set
from relrep_exp.encoders.local.training import one_cycle
from relrep_exp.errors import user_error
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator

if TYPE_CHECKING:
    from relrep_exp.config.schema import AutoencoderZoo, ConvConfig
    from relrep_exp.encoders.made import AutoencoderSource

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class ImageSettings:
    """Shape and training of a network that draws images.

    Attributes:
        channels: of the stride-2 convolutions, from the image inwards.
        epochs: passes over the training images.
        least_steps: more epochs if they were fewer steps than this.
        batch: images in a step.
        lr: Adam's learning rate at the height of its one cycle.
    """

    channels: Sequence[int] = field(default_factory=lambda: (16, 32))
    epochs: int = 4
    least_steps: int = 800
    batch: int = 128
    lr: float = 2e-3


def image_settings(config: AutoencoderZoo | ConvConfig) -> ImageSettings:
    """Read channels and training of a zoo's autoencoders or of a decoder."""
    return ImageSettings(config.channels, config.epochs, config.least_steps, config.batch, config.lr)


def sizes(shape: Shape, layers: int) -> list[tuple[int, int]]:
    """Height and width of the image and behind each of the stride-2 convolutions."""
    found = [shape[1:]]
    for _ in range(layers):
        found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
    return found


class ImageEncoder(nn.Sequential):
    """Stride-2 convolutions with ReLU, then a linear layer: [B, C, H, W] -> [B, latent]."""

    def __init__(self, shape: Shape, channels: Sequence[int], latent: int):
        layers: list[nn.Module] = []
        for before, after in zip([shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        height, width = sizes(shape, len(channels))[-1]
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * width, latent))


class ImageDecoder(nn.Sequential):
    """The mirror image of `ImageEncoder`: [B, k] -> [B, C, H, W] in [0, 1]."""

    def __init__(self, inputs: int, shape: Shape, channels: Sequence[int]):
        steps = sizes(shape, len(channels))
        height, width = steps[-1]
        layers: list[nn.Module] = [
            nn.Linear(inputs, channels[-1] * height * width),
            nn.Unflatten(1, (channels[-1], height, width)),
        ]
        outwards = [*reversed(channels), shape[0]]
        for number, (before, after) in enumerate(pairwise(outwards)):
            # A stride-2 convolution makes the same of 2n and of 2n - 1 rows; the padding says which it was.
            rows, columns = steps[-2 - number]
            even = (1 - rows % 2, 1 - columns % 2)
            layers += [
                nn.ReLU(),
                nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=even),
            ]
        super().__init__(*layers, nn.Sigmoid())


class Anisotropy(nn.Module):
    """Standardise the latent, then map it by a fixed random affine map: x -> R (s * x) + c.

    R is a random rotation, s spaced evenly in the logarithm from condition^(-1/2) to condition^(1/2), and c a
    random shift. Nothing of it is trained, so that the network cannot undo it. At condition 1 nothing is
    mapped.

    Args:
        dim: of the latent.
        condition: largest scale over smallest.
        shift: length of c over that of s, which is the spread of what is shifted.
        seed: draws R and c.
    """

    def __init__(self, dim: int, condition: float, shift: float, seed: int):
        super().__init__()
        self.standardise = nn.BatchNorm1d(dim, affine=False)
        self.matrix: Tensor
        self.offset: Tensor
        self.register_buffer("matrix", torch.eye(dim))
        self.register_buffer("offset", torch.zeros(dim))
        if condition > 1:
            g, half = generator(seed, "anisotropy", dim), 0.5 * math.log10(condition)
            scales = torch.logspace(-half, half, dim)
            rotation, _ = torch.linalg.qr(torch.randn(dim, dim, generator=g))
            direction = F.normalize(torch.randn(dim, generator=g), dim=0)
            self.matrix, self.offset = rotation * scales, shift * scales.norm() * direction

    def forward(self, x: Tensor) -> Tensor:
        """[B, d] -> [B, d]; a batch of one is standardised by what earlier batches were like."""
        norm = self.standardise
        alone = norm.training and len(x) == 1
        x = F.batch_norm(x, norm.running_mean, norm.running_var, eps=norm.eps) if alone else norm(x)
        return x @ self.matrix.T + self.offset


class Autoencoder(pl.LightningModule):
    """Encoder, anisotropy and decoder.

    Args:
        shape: of the images.
        latent: d.
        anisotropy: condition number of the induced map; 1 leaves the map out.
        shift: of the map.
        seed: of the map.
        settings: channels and training.
    """

    def __init__(
        self, shape: Shape, latent: int, anisotropy: float, shift: float, seed: int, settings: ImageSettings
    ):
        super().__init__()
        self.settings = settings
        self.encoder = ImageEncoder(shape, settings.channels, latent)
        self.anisotropy = Anisotropy(latent, anisotropy, shift, seed)
        self.decoder = ImageDecoder(latent, shape, settings.channels)
        self.images = torch.empty(0)
        self.steps = 1

    def encode(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> latents [B, d]."""
        latents: Tensor = self.anisotropy(self.encoder(unit(images)))
        return latents

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Mean squared error of the images drawn again, on the samples `rows` [1, B]."""
        images = self.images[rows[0]]
        return F.mse_loss(self.decoder(self.encode(images)), unit(images))

    def configure_optimizers(self) -> Any:
        """Adam, one cycle of the learning rate."""
        lr = self.settings.lr
        return one_cycle(torch.optim.Adam(self.parameters(), lr), lr, self.steps)


class DecoderTraining(pl.LightningModule):
    """An image decoder that learns to draw `images` [N, C, H, W] from features x [N, k]."""

    def __init__(self, decoder: ImageDecoder, x: Tensor, images: Tensor, lr: float, steps: int):
        super().__init__()
        self.decoder, self.x, self.images, self.lr, self.steps = decoder, x, images, lr, steps

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Mean squared error on the samples `rows` [1, B]."""
        return F.mse_loss(self.decoder(self.x[rows[0]]), unit(self.images[rows[0]]))

    def configure_optimizers(self) -> Any:
        """Adam, one cycle of the learning rate."""
        return one_cycle(torch.optim.Adam(self.decoder.parameters(), self.lr), self.lr, self.steps)


def load(source: AutoencoderSource, training: Training) -> AutoencoderEncoder:
    """Load the trained autoencoder of a source, from its checkpoint if there is one.

    Raises:
        UserError: the images differ in shape, or are smaller than the latent.
    """
    view, zoo, seed = source.own(), source.zoo, source.config.seed
    shape = common_shape(view.samples)
    if zoo.latent > (values := math.prod(shape)):
        said = f"{' x '.join(map(str, shape))} = {values} values"
        what = f"zoo.latent={zoo.latent} is larger than the images, {said}"
        raise user_error(what, f"set zoo.latent={values} or less, or give larger images")

    def train(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
        images, _ = training_set(source.name, view, source.data.config)
        trained = train_autoencoder(model, stacked(images), seed, training)
        return dict(trained.state_dict()), asdict(source.config)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(shape, zoo.latent, zoo.anisotropy, zoo.shift, seed, image_settings(zoo))
        entry = source.kept(training, train)
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


def train_autoencoder(model: Autoencoder, images: Tensor, seed: int, training: Training) -> Autoencoder:
    """Train on images, uint8 [N, C, H, W]; return the model in evaluation mode."""
    batches, epochs = _schedule(len(images), model.settings, seed, images.device)
    model.to(memory_format=torch.channels_last)  # a quarter faster on CPUs
    model.images, model.steps = images, len(batches) * epochs
    fit(model, batches, epochs, training)
    model.images = torch.empty(0)
    return model.to(memory_format=torch.contiguous_format).eval()  # to the last digit what is loaded later


def train_image_decoder(
    x: Tensor, images: Tensor, seed: int, settings: ImageSettings, training: Training
) -> ImageDecoder:
    """Train a decoder that draws images, uint8 [N, C, H, W], from x [N, k]; the seed draws its weights."""
    channels, height, width = images.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = ImageDecoder(x.shape[1], (channels, height, width), settings.channels)
    decoder.to(x.device).to(memory_format=torch.channels_last)
    batches, epochs = _schedule(len(x), settings, seed, x.device)
    fit(DecoderTraining(decoder, x, images, settings.lr, len(batches) * epochs), batches, epochs, training)
    return decoder.eval()


def unit(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.float() / 255.0


def _schedule(n: int, settings: ImageSettings, seed: int, device: torch.device) -> tuple[EpochBatches, int]:
    """Minibatches, and how many epochs make enough steps."""
    batches = EpochBatches(n, settings.batch, [seed], device)
    return batches, max(settings.epochs, math.ceil(settings.least_steps / len(batches)))
