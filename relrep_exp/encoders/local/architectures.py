"""Small image encoders of different kinds for the local zoos: [B, C, H, W] -> [B, dim]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from relrep_exp.config.schema import LocalEncoderConfig
from relrep_exp.encoders.encoder import Encoder


def build(config: LocalEncoderConfig, channels: int, size: int) -> nn.Module:
    """An untrained encoder for square images; draws its weights from torch's current generator."""
    if config.architecture == "vit":
        return _vit(config, channels, size)
    if config.architecture == "resnet":
        return _resnet(config, channels)
    if config.architecture == "mlp":
        return Mlp(channels * size * size, config.dim, config.depth)
    return RowGru(channels * size, config.dim, config.depth)


def _vit(config: LocalEncoderConfig, channels: int, size: int) -> nn.Module:
    return VisionTransformer(
        img_size=size,
        patch_size=config.patch,
        in_chans=channels,
        num_classes=0,
        global_pool="avg",
        embed_dim=config.dim,
        depth=config.depth,
        num_heads=config.heads,
    )


def _resnet(config: LocalEncoderConfig, channels: int) -> nn.Module:
    d = config.dim
    widths = (d // 4, d // 2, d // 2, d)
    layers = (config.depth,) * 4
    block: Any = BasicBlock  # timm annotates an instance where it takes the class
    return ResNet(block, layers, in_chans=channels, num_classes=0, channels=widths)


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
    """Images [H, W] or [H, W, 3], uint8 and all alike -> [B, C, H, W]."""
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
