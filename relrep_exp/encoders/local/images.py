"""Small image encoders of different kinds, and their training on the task's own training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from relrep_exp.config.schema import LocalEncoderConfig
from relrep_exp.data.image_samples import image_shape
from relrep_exp.data.samples import BadSampleError
from relrep_exp.encoders.embed import unreadable
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.local.training import one_cycle
from relrep_exp.errors import user_error
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit

if TYPE_CHECKING:
    from relrep_exp.data.samples import View
    from relrep_exp.encoders.made import LocalImageSource

_RESIZING = "use pretrained encoders, which resize: zoo=vision"


def load(source: LocalImageSource, training: Training) -> LocalImageEncoder:
    """Load the trained encoder of a source, from its checkpoint if there is one.

    Raises:
        UserError: the images differ in shape, are not square, or cannot be read.
    """
    view, config = source.own(), source.config
    channels, height, width = common_shape(view.samples, f", or {_RESIZING}")
    if height != width:
        what = f"the images are {height}x{width}, and a local encoder reads square ones"
        raise user_error(what, f"crop them, or {_RESIZING}")

    def train(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
        assert view.labels is not None
        images, rows = training_set(source.name, view, source.data.config)
        train_encoder(encoder, stacked(images), view.labels[rows], config, training)
        return dict(network.state_dict()), asdict(config)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build(config, channels, height)
        encoder = LocalImageEncoder(network, config.dim)
        entry = source.kept(training, train)
    network.load_state_dict(entry.tensors)
    encoder.eval()
    return encoder


def build(config: LocalEncoderConfig, channels: int, size: int) -> nn.Module:
    """Make an untrained encoder for square images; draws its weights from torch's current generator."""
    d = config.dim
    if config.architecture == "vit":
        return VisionTransformer(
            img_size=size,
            patch_size=config.patch,
            in_chans=channels,
            num_classes=0,
            global_pool="avg",
            embed_dim=d,
            depth=config.depth,
            num_heads=config.heads,
        )
    if config.architecture == "resnet":
        block: Any = BasicBlock  # timm annotates an instance where it takes the class
        widths = (d // 4, d // 2, d // 2, d)
        return ResNet(block, (config.depth,) * 4, in_chans=channels, num_classes=0, channels=widths)
    if config.architecture == "mlp":
        return Mlp(channels * size * size, d, config.depth)
    return RowGru(channels * size, d, config.depth)


class LocalImageEncoder(Encoder):
    """A network over pixels as they are, scaled to [-1, 1].

    Args:
        network: [B, C, H, W] -> [B, dim].
        dim: d.
    """

    def __init__(self, network: nn.Module, dim: int):
        super().__init__()
        self.network, self.dim = network, dim

    def prepare(self, samples: Sequence[Any]) -> Tensor:
        """Images [H, W] or [H, W, 3], all alike -> uint8 [B, C, H, W]."""
        return stacked(samples)

    def forward(self, inputs: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> [B, dim]."""
        out: Tensor = self.network(self.scaled(inputs))
        return out

    def scaled(self, inputs: Tensor) -> Tensor:
        """uint8 -> float32 in [-1, 1], as the network takes them."""
        return 2.0 * (inputs.float() / 255.0) - 1.0


def stacked(samples: Sequence[Any]) -> Tensor:
    """Stack images [H, W] or [H, W, 3], uint8 and all alike, to [B, C, H, W]."""
    images = torch.from_numpy(np.stack(samples))
    return images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()


class Mlp(nn.Module):
    """Flattened pixels through `depth` layers, each followed by ReLU: embeddings with a large mean."""

    def __init__(self, inputs: int, dim: int, depth: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(inputs, dim), nn.ReLU()]
        for _ in range(depth - 1):
            layers += [nn.Linear(dim, dim), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] -> [B, dim]."""
        out: Tensor = self.layers(images)
        return out


class RowGru(nn.Module):
    """A recurrent network that reads an image row by row; the embedding is its last state."""

    def __init__(self, inputs: int, dim: int, depth: int):
        super().__init__()
        self.gru = nn.GRU(inputs, dim, num_layers=depth, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] -> [B, dim]."""
        rows = torch.flatten(images.transpose(1, 2), start_dim=2)
        states: Tensor = self.gru(rows)[1]
        return states[-1]


class EncoderTraining(pl.LightningModule):
    """An encoder under two readers: a linear classifier and a small network that redraws the image.

    Classification alone collapses an embedding onto its classes; reconstruction keeps the rest of the image
    in it, as in encoders that were trained for more than the task at hand.

    Args:
        encoder: of uint8 images.
        images: training images, uint8 [N, C, H, W].
        labels: their classes, [N].
        config: dimension, weights of the two losses, learning rate.
        steps: length of the learning rate's cycle.
    """

    def __init__(
        self,
        encoder: LocalImageEncoder,
        images: Tensor,
        labels: Tensor,
        config: LocalEncoderConfig,
        steps: int,
    ):
        super().__init__()
        self.encoder, self.images, self.labels, self.config = encoder, images, labels, config
        self.steps = steps
        pixels = images[0].numel()
        self.classifier = nn.Linear(config.dim, int(labels.max()) + 1)
        self.decoder = nn.Sequential(
            nn.Linear(config.dim, 2 * pixels), nn.GELU(), nn.Linear(2 * pixels, pixels)
        )

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """classify * cross-entropy + reconstruct * mean squared error, on the samples `rows` [1, B]."""
        images = self.images[rows[0]]
        embedding = self.encoder(images)
        classified = F.cross_entropy(self.classifier(embedding), self.labels[rows[0]])
        redrawn = F.mse_loss(self.decoder(embedding), self.encoder.scaled(images).flatten(1))
        return self.config.classify * classified + self.config.reconstruct * redrawn

    def configure_optimizers(self) -> Any:
        """AdamW, one cycle of the learning rate over all steps."""
        lr, decay = self.config.lr, self.config.weight_decay
        optimizer = torch.optim.AdamW(self.parameters(), lr, weight_decay=decay)
        return one_cycle(optimizer, lr, self.steps)


def train_encoder(
    encoder: LocalImageEncoder,
    images: Tensor,
    labels: Tensor,
    config: LocalEncoderConfig,
    training: Training,
) -> None:
    """Train the encoder on labelled images, uint8 [N, C, H, W]."""
    batches = EpochBatches(len(labels), config.batch, [config.seed], images.device)
    module = EncoderTraining(encoder, images, labels, config, len(batches) * config.epochs)
    fit(module, batches, config.epochs, training)


def training_set(name: str, view: View, data: Any) -> tuple[list[Any], list[int]]:
    """Read the training images that can be read, and their rows.

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
    """Find channels, height and width of the images, which must be all alike.

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
