"""What a reconstruction needs beside embeddings: the images, and the decoders that autoencoders come with."""

from __future__ import annotations

import torch
from torch import Tensor

from relrep_exp.data import sources as data_sources
from relrep_exp.data.samples import IMAGE
from relrep_exp.encoders import zoo
from relrep_exp.encoders.architectures import stacked
from relrep_exp.encoders.autoencoder import AutoencoderSource
from relrep_exp.encoders.local import common_shape, readable
from relrep_exp.modules.training import Training
from relrep_exp.schema import Config
from relrep_exp.tasks.image_decoders import ImageReader
from relrep_exp.tasks.scaling import Scaling


def images_of(config: Config) -> Tensor:
    """The images of the task's samples, uint8 [N, C, H, W]; those that cannot be read are left out.

    Raises:
        UserError: they differ in shape, or one that may not be left out cannot be read.
    """
    view = data_sources.load(config.data, [IMAGE], config.runtime.offline).views[IMAGE]
    common_shape(view.samples)
    images, _ = readable(config.task.name, view, range(len(view.is_train)), config.data)
    return stacked(images)


def own_decoders(config: Config, training: Training, device: torch.device) -> dict[str, ImageReader]:
    """The decoder of every autoencoder of the zoo; none for other encoders."""
    found = {}
    for name, source in zoo.sources(config, training).items():
        if isinstance(source, AutoencoderSource):
            found[name] = ImageReader(source.load().model.decoder.to(device), Scaling(0.0, 1.0))
    return found
