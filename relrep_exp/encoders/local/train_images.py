"""Training of the local encoders."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.config.schema import LocalEncoderConfig
from relrep_exp.encoders.local.architectures import LocalImageEncoder
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit


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
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=self.steps)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


def train_encoder(
    encoder: LocalImageEncoder,
    images: Tensor,
    labels: Tensor,
    config: LocalEncoderConfig,
    training: Training,
) -> LocalImageEncoder:
    """Train on labelled images, uint8 [N, C, H, W], and return the encoder alone, in evaluation mode."""
    batches = EpochBatches(len(labels), config.batch, [config.seed], images.device)
    module = EncoderTraining(encoder, images, labels, config, len(batches) * config.epochs)
    fit(module, batches, config.epochs, training)
    return module.encoder.eval()
