"""Compare images with those drawn again: mean squared error, PSNR and SSIM over a whole test set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from relrep_exp.encoders.local.autoencoder import unit

BLOCK = 1024  # images compared at once
MARGIN = 5  # of SSIM's Gaussian window: images are mirrored that far beyond their edges


def image_metrics(draw: Callable[[Tensor], Tensor], x: Tensor, images: Tensor) -> dict[str, float]:
    """Measure `mse`, `psnr` in dB and `ssim` of what is drawn from x.

    SSIM has its usual Gaussian window, and a uniform one for images that are no larger than half of that.

    Args:
        draw: representations [B, k] to images [B, C, H, W] in [0, 1].
        x: representations, [N, k].
        images: what they should show, uint8 [N, C, H, W].
    """
    found = _metrics(min(images.shape[2:])).to(images.device)
    for block, truth in zip(x.split(BLOCK), images.split(BLOCK), strict=True):
        found.update(draw(block), unit(truth))
    return {name: float(value) for name, value in found.compute().items()}


def image_mse(draw: Callable[[Tensor], Tensor], x: Tensor, images: Tensor) -> float:
    """Measure the first of these alone, which takes a fraction of the time."""
    found = MeanSquaredError().to(images.device)
    for block, truth in zip(x.split(BLOCK), images.split(BLOCK), strict=True):
        found.update(draw(block), unit(truth))
    return float(found.compute())


def variance(train: Tensor, test: Tensor) -> float:
    """Measure the error of drawing the mean training image always, which a useless decoder reaches.

    Both uint8 [N, C, H, W].
    """
    mean = torch.stack([unit(block).double().sum(0) for block in train.split(BLOCK)]).sum(0) / len(train)
    errors = [(unit(block).double() - mean).square().sum() for block in test.split(BLOCK)]
    return float(torch.stack(errors).sum() / test.numel())


def _metrics(side: int) -> MetricCollection:
    window: dict[str, Any] = {"gaussian_kernel": True, "sigma": 1.5}
    if side <= MARGIN:
        window = {"gaussian_kernel": False, "kernel_size": side - 1 + side % 2}
    return MetricCollection(
        {
            "mse": MeanSquaredError(),
            "psnr": PeakSignalNoiseRatio(data_range=1.0),
            "ssim": StructuralSimilarityIndexMeasure(data_range=1.0, **window),
        }
    )
