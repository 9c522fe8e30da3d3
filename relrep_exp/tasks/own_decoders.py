"""What a reconstruction needs beside embeddings: the images, and the decoders that autoencoders come with."""

from __future__ import annotations

import torch
from torch import Tensor

from relrep_exp.config.schema import Config
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.encoders.local.architectures import stacked
from relrep_exp.encoders.local.autoencoder_zoo import AutoencoderSource
from relrep_exp.encoders.local.local_images import common_shape
from relrep_exp.encoders.zoo_sources import sources
from relrep_exp.tasks.decoders.image_decoders import ImageReader
from relrep_exp.tasks.decoders.scaling import Scaling
from relrep_exp.training.device import Training


def images_of(embeddings: Embeddings) -> Tensor:
    """The images behind the embeddings, uint8 [N, C, H, W].

    Raises:
        UserError: they differ in shape.
    """
    images = embeddings.images
    assert images is not None, "a reconstruction is checked to have encoders of images"
    common_shape(images)
    return stacked([images[row] for row in range(len(images))])


def own_decoders(config: Config, training: Training, device: torch.device) -> dict[str, ImageReader]:
    """The decoder of every autoencoder that is tested; none for other encoders."""
    found = {}
    tested = config.task.test_encoders
    for name, source in sources(config, training).items():
        if isinstance(source, AutoencoderSource) and (tested is None or name in tested):
            found[name] = ImageReader(source.load().model.decoder.to(device), Scaling(0.0, 1.0))
    return found
