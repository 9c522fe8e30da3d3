"""Training of a local encoder with a linear classification layer on top."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.modules.training import EpochBatches, Training, fit


class EncoderClassifier(pl.LightningModule):
    """An encoder and the layer that reads it; the embedding is what that layer reads.

    Args:
        encoder: [B, C, H, W] -> [B, dim].
        dim: dimension of an embedding.
        images: training images, [N, C, H, W].
        labels: their classes, [N].
        lr: AdamW's peak learning rate, with a cosine decay to zero.
        weight_decay: AdamW's decay.
        epochs: length of the decay.
    """

    def __init__(
        self,
        encoder: nn.Module,
        dim: int,
        images: Tensor,
        labels: Tensor,
        lr: float,
        weight_decay: float,
        epochs: int,
    ):
        super().__init__()
        self.encoder, self.images, self.labels = encoder, images, labels
        self.classifier = nn.Linear(dim, int(labels.max()) + 1)
        self.lr, self.weight_decay, self.epochs = lr, weight_decay, epochs

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Cross-entropy on the samples `rows` [1, B]."""
        scores = self.classifier(self.encoder(self.images[rows[0]]))
        return F.cross_entropy(scores, self.labels[rows[0]])

    def configure_optimizers(self) -> Any:
        """AdamW with a cosine decay, one step an epoch."""
        optimizer = torch.optim.AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)]


def train_encoder(module: EncoderClassifier, batch: int, seed: int, training: Training) -> nn.Module:
    """Fit and return the encoder alone, in evaluation mode."""
    device = module.images.device
    fit(module, EpochBatches(len(module.labels), batch, [seed], device), module.epochs, training)
    return module.encoder.to(device).eval()
