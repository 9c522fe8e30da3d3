"""The local zoos: encoders trained on the task's own training samples, kept as checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relrep_exp import versions
from relrep_exp.data import digits
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.schema import DigitsData, LocalEncoderConfig, LocalZoo
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from relrep_exp.data.digits import ImageData

EMBED_BATCH = 1024


def identity(zoo: LocalZoo, data: DigitsData) -> dict[str, Any]:
    """What determines the embeddings of each encoder; needs nothing loaded."""
    return {name: _encoder_identity(config, data) for name, config in zoo.encoders.items()}


def load(zoo: LocalZoo, data: DigitsData, outputs: Path, progress: bool) -> Embeddings:
    """Embeddings of all samples by all encoders, trained and computed only where the store lacks them."""
    samples = digits.load(data)
    keys = {name: content_key(parts) for name, parts in identity(zoo, data).items()}
    spaces = {
        name: _embeddings(name, config, samples, keys[name], outputs, progress)
        for name, config in zoo.encoders.items()
    }
    return Embeddings(spaces, samples.labels, samples.is_train, keys)


def _encoder_identity(config: LocalEncoderConfig, data: DigitsData) -> dict[str, Any]:
    return {
        "encoder": asdict(config),
        "trained_on": digits.identity(data),
        "dtype": "float32",
        "version": versions.LOCAL_ENCODERS,
    }


def _embeddings(
    name: str, config: LocalEncoderConfig, samples: ImageData, key: str, outputs: Path, progress: bool
) -> Tensor:
    """[N, dim], from the embedding store, else by the encoder's checkpoint, else by training it."""
    import torch

    def compute() -> tuple[dict[str, Tensor], dict[str, Any]]:
        encoder = _trained(config, samples, key, outputs, progress)
        with torch.inference_mode():
            parts = [encoder(_centred(images)) for images in samples.images.split(EMBED_BATCH)]
        describe = {"encoder": name, **asdict(config)}
        return {"embeddings": torch.cat(parts).float(), "ids": torch.arange(len(samples.labels))}, describe

    return TensorStore(outputs / "embeddings").get_or_compute(key, compute).tensors["embeddings"]


def _trained(
    config: LocalEncoderConfig, samples: ImageData, key: str, outputs: Path, progress: bool
) -> nn.Module:
    """The trained encoder, from its checkpoint if there is one."""
    import torch

    from relrep_exp.encoders.architectures import build

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = build(config, samples.images.shape[1], samples.images.shape[-1])
        entry = TensorStore(outputs / "checkpoints").get_or_compute(
            key, lambda: (_train(encoder, config, samples, progress), asdict(config))
        )
    encoder.load_state_dict(entry.tensors)
    return encoder.eval()


def _train(
    encoder: nn.Module, config: LocalEncoderConfig, samples: ImageData, progress: bool
) -> dict[str, torch.Tensor]:
    """Train on the training split alone and return the weights."""
    from relrep_exp.modules.encoder import train_encoder
    from relrep_exp.modules.training import Training

    images, labels = _centred(samples.images[samples.is_train]), samples.labels[samples.is_train]
    return dict(train_encoder(encoder, images, labels, config, Training(progress=progress)).state_dict())


def _centred(images: Tensor) -> Tensor:
    """Images in [0, 1] -> [-1, 1], as the encoders take them."""
    return 2.0 * images - 1.0
