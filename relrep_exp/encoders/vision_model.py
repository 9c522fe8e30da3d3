"""An image encoder of timm: loaded from a folder completely or not at all, then images to embeddings.

Nothing in the folder is executed.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
from PIL.Image import fromarray
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from relrep_exp.encoders import vision
from relrep_exp.encoders.checkpoint import no_larger_than, require_counts, staged
from relrep_exp.encoders.encoder import DTYPES, Encoder
from relrep_exp.encoders.vision import VisionSource
from relrep_exp.errors import user_error

if TYPE_CHECKING:
    from relrep_exp.config.schema.zoo import Dtype
    from relrep_exp.training.device import Training

    Image = np.ndarray[Any, Any]
    Inputs = Tensor | list[Tensor]

_WHITE = 255.0
# What timm and torch raise for a config.json or weights that do not make the model they name
_UNFIT = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    AssertionError,
    OSError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)


def load(source: VisionSource, training: Training) -> TimmEncoder:
    """Load the encoder of a source, on the CPU; nothing is looked for but in its folder.

    Raises:
        UserError: the folder is not what it should be, or the model's images cannot be resized on a device.
    """
    config, key = source.config, source.key
    if config.path is None:  # before a download of what timm could not build
        _check_known(_architecture(config.model), f"{key}.model")
    folder = source.folder()
    with staged(folder, vision.files(folder)) as here:
        model = _model(here, source)
    data = resolve_model_data_config(model)  # type: ignore[no-untyped-call]  # timm annotates only in part
    if on_device := source.runtime.resize == "device":
        check_device_resize(data, key)
    return TimmEncoder(model, data, source.dtype, on_device)


def _model(folder: Path, source: VisionSource) -> nn.Module:
    """The model without its classifier; every weight comes from the folder."""
    key, settings, weights = source.key, _settings(folder, source), [folder / vision.weights(folder)]
    # It is loaded with the classifier, as timm is strict only then: without, it would quietly leave weights
    # that the file lacks at their random values.
    try:
        require_counts(weights, settings)
        with torch.random.fork_rng(devices=[]), no_larger_than(weights):  # drawn before they are read
            model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
            model.reset_classifier(0)  # type: ignore[operator]  # every model of timm has it
    except _UNFIT as error:
        text = " ".join(str(error).split()) or type(error).__name__  # maybe a list of hundreds of weights
        said = text if len(text) <= 300 else f"{text[:300]} ..."
        what = f"{key}: {folder / vision.weights(folder)} cannot be loaded: {said}"
        raise user_error(what, vision.remedy(key)) from None
    return model


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
        self.model = model.requires_grad_(False).to(DTYPES[dtype])
        width: Any = getattr(model, "head_hidden_size", None) or model.num_features
        self.dim = int(width)
        self._dtype, self._on_device = DTYPES[dtype], on_device
        self._filter = data["interpolation"]
        self._mode = "L" if data["input_size"][0] == 1 else "RGB"
        self._transform = create_transform(**data, is_training=False)
        for name in ("mean", "std"):
            value = torch.tensor(data[name], dtype=torch.float32)[:, None, None]
            self.register_buffer(name, value, persistent=False)
        self.eval()

    def prepare(self, samples: Sequence[Image]) -> Inputs:
        """Turn uint8 images, [H, W] or [H, W, 3], white 255, into what the model reads: float32 [B, C, S, S].

        With `on_device` uint8 [B, 1 or 3, H, W] in a list of one; images of several shapes are a list of
        [1, 1 or 3, H, W].
        """
        if not self._on_device:
            return torch.stack([self._transform(fromarray(image).convert(self._mode)) for image in samples])
        planes = [_planes(image) for image in samples]
        if len({image.shape for image in planes}) == 1:
            return [torch.stack(planes)]
        return [image[None] for image in planes]

    def forward(self, inputs: Inputs) -> Tensor:
        """Embed what `prepare` made: float32 [B, d]."""
        if not isinstance(inputs, Tensor):
            inputs = torch.cat([self._resized(images) for images in inputs])
        embeddings: Tensor = self.model(inputs.to(self._dtype))
        return embeddings.float()

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
    """Resize as one pass of Pillow does: whole numbers in 0 .. 255, what overshoots is cut after each."""
    out = nn.functional.interpolate(images, size, mode=mode, antialias=True, align_corners=False)
    return (out + 0.5).floor().clamp(0, _WHITE)


def _planes(image: Image) -> Tensor:
    """[H, W] or [H, W, 3] -> [1 or 3, H, W], a copy: the image may lie in memory that is only for reading."""
    stacked = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.array(stacked, order="C"))


def _check_known(architecture: str, where: str) -> None:
    """Check that timm has the architecture.

    Raises:
        UserError: it has not.
    """
    if timm.is_model(architecture):
        return
    close = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}?" if close else 'timm.list_models("vit*") lists some'
    raise user_error(f"{where}: timm {timm.__version__} does not know {architecture!r}", meant)


def check_device_resize(data: dict[str, Any], key: str) -> None:
    """Check that torch can do on a device what timm's transform does.

    Raises:
        UserError: it cannot.
    """
    channels, height, width = data["input_size"]
    does = {
        f"crop_mode={data['crop_mode']}": data["crop_mode"] == "center",
        f"interpolation={data['interpolation']}": data["interpolation"] in ("bicubic", "bilinear"),
        f"input_size={data['input_size']}": channels == 3 and height == width,
        f"crop_pct={data['crop_pct']}": data["crop_pct"] <= 1,
    }
    if bad := [name for name, fits in does.items() if not fits]:
        what = f"{key}: its images cannot be resized on a device ({', '.join(bad)})"
        raise user_error(what, "use runtime.resize=worker")


def _settings(folder: Path, source: VisionSource) -> dict[str, Any]:
    """The folder's config.json: it names an architecture that timm has and that the configuration expects."""
    path, key, model = folder / vision.CONFIG, source.key, source.config.model
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        there = said["architecture"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        what = f'{key}: {path} names no "architecture" ({type(error).__name__}: {error})'
        raise user_error(what, vision.remedy(key)) from None
    _check_known(str(there), f"{key}: {path}")
    expected = _architecture(model)
    if there != expected:
        what = f"{key}.model={model}, but {folder} holds {there}"
        raise user_error(what, f"set {key}.model={there}, or {key}.path to the weights of {expected}")
    return said


def _architecture(model: str) -> str:
    """vit_small_patch16_224 of vit_small_patch16_224.augreg_in21k_ft_in1k, with or without an owner."""
    return model.rsplit("/", 1)[-1].split(".", 1)[0]
