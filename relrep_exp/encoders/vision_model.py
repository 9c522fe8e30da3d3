"""An image encoder of timm: from images to one embedding each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from relrep_exp.encoders.encoder import Encoder

if TYPE_CHECKING:
    import numpy as np

    from relrep_exp.config.schema.zoo import Dtype

    Image = np.ndarray[Any, Any]
    Inputs = Tensor | list[Tensor]

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_WHITE = 255.0


class TimmEncoder(Encoder):
    """Pooled features, before the classifier.

    Images are resized, cropped and normalised by the transform that belongs to the weights, on the CPU by
    Pillow; or, with `on_device`, by torch where the model is, with the same sizes, crop, filter, rounding and
    normalisation, so that only near-ties are rounded differently. Measured on a CPU in float32, photographs,
    MNIST and noise made smaller and larger to 224 pixels: no pixel differs by more than 1 of 255, the mean
    difference is at most 0.0005 with the bicubic filter and 0.016 with the bilinear one, and embeddings of
    ViT-S and RexNet with random weights differ by at most 2.6e-4 and 1.6e-3 of their norm.

    Attributes:
        dim: d, the width of its embeddings.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, data: Mapping[str, Any], dtype: Dtype, on_device: bool = False):
        """Freeze the model, in evaluation mode.

        Args:
            model: without a classifier.
            data: how its images are made, as timm's `resolve_model_data_config` says it.
            dtype: of its weights; embeddings are float32 in any case.
            on_device: resize where the model is.
        """
        super().__init__()
        self.model = model.requires_grad_(False).to(_DTYPES[dtype])
        width: Any = getattr(model, "head_hidden_size", None) or model.num_features
        self.dim = int(width)
        self._dtype, self._on_device = _DTYPES[dtype], on_device
        self._filter = data["interpolation"]
        self._mode = "L" if data["input_size"][0] == 1 else "RGB"
        self._transform = create_transform(**data, is_training=False)
        for name in ("mean", "std"):
            value = torch.tensor(data[name], dtype=torch.float32)[:, None, None]
            self.register_buffer(name, value, persistent=False)
        self.eval()

    def prepare(self, samples: Sequence[Image]) -> Inputs:
        """uint8 images, [H, W] or [H, W, 3], white 255 -> what the model reads, float32 [B, C, S, S].

        With `on_device` uint8 [B, 1 or 3, H, W] in a list of one; images of several shapes are a list of
        [1, 1 or 3, H, W].
        """
        if not self._on_device:
            return torch.stack([self._transformed(image) for image in samples])
        planes = [_planes(image) for image in samples]
        if len({image.shape for image in planes}) == 1:
            return [torch.stack(planes)]
        return [image[None] for image in planes]

    def forward(self, inputs: Inputs) -> Tensor:
        """What `prepare` made -> float32 [B, d]."""
        if not isinstance(inputs, Tensor):
            inputs = torch.cat([self._resized(images) for images in inputs])
        embeddings: Tensor = self.model(inputs.to(self._dtype))
        return embeddings.float()

    def _transformed(self, image: Image) -> Tensor:
        from PIL.Image import fromarray

        out: Tensor = self._transform(fromarray(image).convert(self._mode))
        return out

    def _resized(self, images: Tensor) -> Tensor:
        """uint8 [B, 1 or 3, H, W] -> float32 [B, 3, S, S]; grey becomes colour with the normalisation."""
        resize, crop = self._transform.transforms[:2]
        height, width = _scaled(images.shape[-2], images.shape[-1], resize.size)
        wide = _filtered(images.float(), (images.shape[-2], width), self._filter)
        pixels: Tensor = crop(_filtered(wide, (height, width), self._filter))
        return (pixels / _WHITE - self.mean) / self.std


def _scaled(height: int, width: int, short: int) -> tuple[int, int]:
    """The size whose short edge is `short`, as torchvision's Resize rounds it."""
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short


def _filtered(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """One pass of Pillow's resize: whole numbers in 0 .. 255, so that what overshoots is cut after each."""
    out = nn.functional.interpolate(images, size, mode=mode, antialias=True, align_corners=False)
    return (out + 0.5).floor().clamp(0, _WHITE)


def _planes(image: Image) -> Tensor:
    """[H, W] or [H, W, 3] -> [1 or 3, H, W], a copy: the image may lie in memory that is only for reading."""
    import numpy as np

    stacked = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.array(stacked, order="C"))
