"""Decoders that draw images from representations, each trained once and kept in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from relrep_exp.config.schema import ConvConfig
from relrep_exp.config.schema.types import IMAGE
from relrep_exp.encoders.local.autoencoder import ImageDecoder, image_settings, train_image_decoder
from relrep_exp.store import versions
from relrep_exp.store.files import digest
from relrep_exp.store.keys import content_key
from relrep_exp.store.tensors import TensorStore
from relrep_exp.tasks.decoders.classifiers import Scaling
from relrep_exp.tasks.work import Work
from relrep_exp.training.seeding import scoped_seed

BLOCK = 1024  # images drawn at once

FitImageDecoder = Callable[[str, Tensor, Tensor], "ImageReader"]


@dataclass(frozen=True)
class ImageReader:
    """Draw by a trained decoder what is scaled as its training features were."""

    decoder: ImageDecoder
    scaling: Scaling

    @torch.no_grad()
    def draw(self, x: Tensor) -> Tensor:
        """Draw images of x [N, k] in [0, 1], [N, C, H, W]."""
        parts = [self.decoder(self.scaling(block)) for block in x.split(BLOCK)]
        return torch.cat(parts)


def image_decoders(work: Work) -> FitImageDecoder:
    """Make a function that trains a decoder: (encoder's name, features x [N, k], images) -> the decoder.

    The images, uint8 [N, C, H, W], are the training images of the run's data, rows parallel to the features.
    A decoder is the same for the same features, whatever method they come from, and is trained once.
    """
    config, decoding = work.config, work.config.decoder
    assert isinstance(decoding, ConvConfig), "a reconstruction is checked to have decoder=conv"
    assert work.samples is not None, "a reconstruction is checked to have encoders of images"
    settings, root = image_settings(decoding), Path(config.paths.outputs) / "checkpoints"
    store = TensorStore(root)
    shared = {
        "decoder": asdict(decoding),
        "images": work.samples.identity([IMAGE])[IMAGE],
        "seed": config.seed,
        "version": versions.DECODERS,
    }
    redone: set[str] = set()  # of this run; overwrite=always makes each anew, but once

    def fit(name: str, x: Tensor, images: Tensor) -> ImageReader:
        scaling = Scaling.fit(decoding.scaling, x)
        key = content_key({**shared, "encoder": name, "features": digest(x)})

        def compute() -> tuple[dict[str, Tensor], dict[str, object]]:
            seed = scoped_seed(config.seed, "decoder", name)
            how = replace(work.training, checkpoint=root / f"{key}.ckpt")
            trained = train_image_decoder(scaling(x), images, seed, settings, how)
            return dict(trained.state_dict()), {"encoder": name}

        again = config.overwrite == "always" and key not in redone
        entry = store.get_or_compute(key, compute, recompute=again)
        redone.add(key)
        channels, height, width = images.shape[1:]
        decoder = ImageDecoder(x.shape[1], (channels, height, width), settings.channels)
        decoder.load_state_dict(entry.tensors)
        return ImageReader(decoder.to(x.device).eval(), scaling)

    return fit
