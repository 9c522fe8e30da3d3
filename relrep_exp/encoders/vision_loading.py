"""Loading weights of timm from a folder: completely or not at all, and nothing in it is executed."""

from __future__ import annotations

import json
import pickle
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from relrep_exp.config.schema import TimmEncoderConfig
from relrep_exp.config.schema.zoo import Dtype
from relrep_exp.encoders import vision_folder
from relrep_exp.errors import UserError, user_error

if TYPE_CHECKING:
    from torch import nn

    from relrep_exp.encoders.vision_model import TimmEncoder

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
)


def load(
    folder: Path, config: TimmEncoderConfig, dtype: Dtype, resize: Literal["worker", "device"], key: str
) -> TimmEncoder:
    """The encoder on the CPU.

    Args:
        folder: in the layout of timm's repositories; nothing is looked for anywhere else.
        config: which model is expected.
        dtype: of its weights.
        resize: worker = timm's own transform; device = images are resized where the model is.
        key: where the configuration names it, for messages.

    Raises:
        UserError: the folder is not what it should be, or the model's images cannot be resized on a device.
    """
    from timm.data.config import resolve_model_data_config

    from relrep_exp.encoders.vision_model import TimmEncoder

    if found := vision_folder.problems(folder, key):
        raise UserError(found)
    _check_architecture(folder, config, key)
    model = _model(folder, key)
    data = resolve_model_data_config(model)  # type: ignore[no-untyped-call]  # timm annotates only in part
    if resize == "device":
        check_device_resize(data, key)
    return TimmEncoder(model, data, dtype, resize == "device")


def check_known(architecture: str, where: str) -> None:
    """Whether timm has the architecture.

    Raises:
        UserError: it has not.
    """
    import timm

    if timm.is_model(architecture):
        return
    close = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}?" if close else 'timm.list_models("vit*") lists some'
    raise user_error(f"{where}: timm {timm.__version__} does not know {architecture!r}", meant)


def check_device_resize(data: dict[str, Any], key: str) -> None:
    """Whether torch can do on a device what timm's transform does.

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


def _check_architecture(folder: Path, config: TimmEncoderConfig, key: str) -> None:
    """The folder names an architecture that timm has and that the configuration expects."""
    path = folder / vision_folder.CONFIG
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        there = said["architecture"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = f'{key}: {path} names no "architecture" ({type(error).__name__}: {error})'
        raise user_error(what, vision_folder.remedy(key)) from None
    check_known(str(there), f"{key}: {path}")
    expected = vision_folder.architecture(config.model)
    if there != expected:
        what = f"{key}.model={config.model}, but {folder} holds {there}"
        raise user_error(what, f"set {key}.model={there}, or {key}.path to the weights of {expected}")


def _model(folder: Path, key: str) -> nn.Module:
    """The model without its classifier, every weight of it from the folder.

    It is loaded with the classifier, as timm is strict only then: without, it would quietly leave weights
    that the file lacks at their random values.
    """
    import timm
    import torch
    from safetensors import SafetensorError

    try:
        with torch.random.fork_rng(devices=[]):  # weights are drawn before they are read
            model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
            model.reset_classifier(0)  # type: ignore[operator]  # every model of timm has it
    except (*_UNFIT, SafetensorError) as error:
        what = f"{key}: {folder / vision_folder.weights(folder)} cannot be loaded: {_first_lines(error)}"
        raise user_error(what, vision_folder.remedy(key)) from None
    return model


def _first_lines(error: Exception) -> str:
    """The start of what may be a list of hundreds of weights."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
