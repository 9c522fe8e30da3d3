"""Small image encoders of different kinds for the local zoos: [B, C, H, W] -> [B, dim]."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from relrep_exp.schema import LocalEncoderConfig


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
        patch_size=2,
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
