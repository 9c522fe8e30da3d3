"""Training of a local encoder with a linear classification layer on top."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.modules.training import EpochBatches, Training, fit
from relrep_exp.schema import LocalEncoderConfig


class EncoderClassifier(pl.LightningModule):
    """An encoder and the layer that reads it; the embedding is what that layer reads.

    Args:
        encoder: [B, C, H, W] -> [B, dim].
        dim: dimension of an embedding.
        images: training images, [N, C, H, W].
        labels: their classes, [N].
        lr: AdamW's peak learning rate; it warms up and decays to zero (one cycle).
        weight_decay: AdamW's decay.
        steps: length of the cycle.
    """

    def __init__(
        self,
        encoder: nn.Module,
        dim: int,
        images: Tensor,
        labels: Tensor,
        lr: float,
        weight_decay: float,
        steps: int,
    ):
        super().__init__()
        self.encoder, self.images, self.labels = encoder, images, labels
        self.classifier = nn.Linear(dim, int(labels.max()) + 1)
        self.lr, self.weight_decay, self.steps = lr, weight_decay, steps

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        """Cross-entropy on the samples `rows` [1, B]."""
        scores = self.classifier(self.encoder(self.images[rows[0]]))
        return F.cross_entropy(scores, self.labels[rows[0]])

    def configure_optimizers(self) -> Any:
        """AdamW, one cycle of the learning rate over all steps."""
        optimizer = torch.optim.AdamW(self.parameters(), self.lr, weight_decay=self.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.steps)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


def train_encoder(
    encoder: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: LocalEncoderConfig,
    training: Training,
) -> nn.Module:
    """Train on labelled images [N, C, H, W] and return the encoder alone, in evaluation mode."""
    batches = EpochBatches(len(labels), config.batch, [config.seed], images.device)
    steps = len(batches) * config.epochs
    module = EncoderClassifier(encoder, config.dim, images, labels, config.lr, config.weight_decay, steps)
    fit(module, batches, config.epochs, training)
    return module.encoder.to(images.device).eval()
