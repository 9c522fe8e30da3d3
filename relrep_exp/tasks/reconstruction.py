"""Stitching of autoencoders (Appendix E.3): a decoder trained on one representation draws from another.

Leave one encoder out, as in the other tasks: the decoders of all encoders, the test encoder's own included,
draw the test images from the test encoder's representation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner, Readings
from relrep_exp.encoders.local.autoencoder import AutoencoderEncoder
from relrep_exp.encoders.local.images import common_shape, stacked
from relrep_exp.encoders.made import AutoencoderSource
from relrep_exp.tasks.decoders.classifiers import Scaling
from relrep_exp.tasks.decoders.image_decoders import FitImageDecoder, ImageReader
from relrep_exp.tasks.held_out import describe, rounded
from relrep_exp.tasks.image_metrics import image_metrics, image_mse, variance
from relrep_exp.tasks.measure import DECODERS
from relrep_exp.tasks.pictures import strip
from relrep_exp.tasks.work import Result, Work

SHOWN_IMAGES = 10
SHOWN_LATENTS = 500

Draw = Callable[[Tensor], Tensor]


def reconstruction(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Train a decoder that draws images on each representation, let it draw from the test encoder's.

    Raises:
        UserError: images differ in shape.
    """
    fit: FitImageDecoder = DECODERS[work.config.decoder.name](work)
    own, read = own_decoders(work), Readings(work.test)
    images = work.embeddings.images
    assert images is not None, "a reconstruction is checked to have encoders of images"
    common_shape(images)
    is_train = next(iter(work.embeddings.tasks.values())).is_train
    pictures = stacked([images[row] for row in range(len(images))]).to(is_train.device)
    train, test = pictures[is_train], pictures[~is_train]
    shown = _one_of_each(work.test_labels, len(test))

    with work.timed("measure"):
        result = describe(work, aligners, read)
        floor = variance(train, test)  # what a useless decoder reaches
        for target, aligner in aligners.items():
            values = {"variance": floor}
            if target in own:
                values["autoencoder_mse"] = image_mse(own[target].draw, work.test[target], test)
            result.add(target, target, aligner.method, values)

    for target, aligner in aligners.items():
        readers = [source for source in work.train if aligner.carries(source, target)]
        pictured = next((source for source in readers if source != target), target)
        for source in readers:
            with work.timed("decoders"):
                decoder = fit(source, aligner.carry(work.train[source].x, source, source), train)
            with work.timed("measure"):
                native, carried = read(aligner, source, source), read(aligner, source, target)
                values = image_metrics(decoder.draw, carried, test)
                values["own_mse"] = image_mse(decoder.draw, native, test)
                result.add(source, target, aligner.method, values)
            if source == pictured:
                draws: dict[str, tuple[Draw, Tensor]] = {"own": (decoder.draw, native)}
                draws["stitched"] = (decoder.draw, carried)
                if target in own:
                    draws["autoencoder"] = (own[target].draw, work.test[target])
                result.views.append(_drawn(source, target, test[shown], draws, shown))

    with work.timed("measure"):
        result.views.append(_latents(work, next(iter(aligners))))
    return result


def own_decoders(work: Work) -> dict[str, ImageReader]:
    """Load the decoder of every autoencoder that is tested; none for other encoders."""
    found = {}
    tested, device = work.config.task.test_encoders, next(iter(work.test.values())).device
    for name, source in work.encoders.items():
        if isinstance(source, AutoencoderSource) and (tested is None or name in tested):
            trained = source.load(work.training)
            assert isinstance(trained, AutoencoderEncoder), "its source loads no other"
            found[name] = ImageReader(trained.model.decoder.to(device), Scaling(0.0, 1.0))
    return found


def _drawn(
    source: str,
    target: str,
    original: Tensor,
    draws: Mapping[str, tuple[Draw, Tensor]],
    shown: Tensor,
) -> dict[str, Any]:
    """Show a few test images as they are, and as they are drawn from the same rows of representations."""
    rows = {"original": original}
    for name, (draw, x) in draws.items():
        rows[name] = (draw(x[shown]) * 255.0).round().clamp(0, 255).to(torch.uint8)
    images = {name: strip(pictures) for name, pictures in rows.items()}
    pair = {"source": source, "target": target}
    return {"kind": "reconstructions", **pair, "count": len(shown), "images": images}


def _latents(work: Work, encoder: str) -> dict[str, Any]:
    """Show some test latents along two principal axes of the training latents, the first and the middle one.

    With scales spaced evenly in the logarithm, the first axes differ little and the middle one shows how
    much longer than wide the space is.
    """
    train, test = work.train[encoder].x.double(), work.test[encoder][:SHOWN_LATENTS]
    variances, axes = torch.linalg.eigh(torch.atleast_2d(torch.cov(train.T)))
    shown = [0, len(variances) // 2]
    along = (test.double() - train.mean(0)) @ axes.flip(1)[:, shown]
    labels = work.test_labels
    return {
        "kind": "latents",
        "encoder": encoder,
        "labels": [0] * len(test) if labels is None else labels[: len(test)].tolist(),
        "axes": [number + 1 for number in shown],
        "points": rounded(along),
        "std": variances.flip(0).clamp_min(0).sqrt().tolist(),
    }


def _one_of_each(labels: Tensor | None, count: int) -> Tensor:
    """Choose the first test image of each class, or else the first images."""
    if labels is None:
        return torch.arange(min(count, SHOWN_IMAGES))
    rows = [int((labels == label).nonzero()[0]) for label in labels.unique()]
    return torch.tensor(rows[:SHOWN_IMAGES])
