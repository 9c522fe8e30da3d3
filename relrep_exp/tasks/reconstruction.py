"""Stitching of autoencoders (Appendix E.3): a decoder trained on one representation draws from another.

Leave one encoder out, as in the other tasks: the decoders of all encoders, the test encoder's own included,
draw the test images from the test encoder's representation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.tasks.decoders.image_decoders import FitImageDecoder, ImageReader
from relrep_exp.tasks.held_out import HeldOut, rounded
from relrep_exp.tasks.image_metrics import image_metrics, image_mse, variance
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.statistics_cache import Sharing
from relrep_exp.tasks.strips import strip

SHOWN_IMAGES = 10
SHOWN_LATENTS = 500

Draw = Callable[[Tensor], Tensor]


class Reconstruction:
    """One run of the protocol.

    Args:
        embeddings: of the images.
        images: uint8 [N, C, H, W], rows parallel to the embeddings.
        make_aligner: a fresh aligner of the method under test.
        fit_decoder: trains a decoder of an encoder on its training features.
        own: the decoders that the encoders were trained with, where they are autoencoders.
        task: sizes of what is measured.
        sharing: what runs share; nothing by default.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        images: Tensor,
        make_aligner: Callable[[], Aligner],
        fit_decoder: FitImageDecoder,
        own: Mapping[str, ImageReader],
        task: TaskConfig,
        sharing: Sharing | None = None,
    ):
        self.protocol = HeldOut(embeddings, make_aligner, task, sharing)
        self.fit_decoder, self.own = fit_decoder, own
        first = next(iter(embeddings.tasks.values()))
        self.train_images, self.test_images = images[first.is_train], images[~first.is_train]
        self.shown = _one_of_each(self.protocol.test_labels, len(self.test_images))

    def run(self) -> Result:
        """Fit, train, draw, measure."""
        result = Result()
        aligners = self.protocol.aligners(result)
        with result.timed("measure"):
            self.protocol.describe(aligners, result)
            self._references(aligners, result)
        for target, aligner in aligners.items():
            readers = [source for source in self.protocol.train if aligner.carries(source, target)]
            pictured = next((source for source in readers if source != target), target)
            for source in readers:
                self._pair(source, target, aligner, result, pictured == source)
        with result.timed("measure"):
            result.views.append(self._latents(next(iter(aligners))))
        return result

    def _references(self, aligners: Mapping[str, Aligner], result: Result) -> None:
        """What a useless decoder reaches, and each autoencoder's own decoder on its own latents."""
        floor = variance(self.train_images, self.test_images)
        for target, aligner in aligners.items():
            values = {"variance": floor}
            if target in self.own:
                latents = self.protocol.test[target]
                values["autoencoder_mse"] = image_mse(self.own[target].draw, latents, self.test_images)
            result.add(target, target, aligner.method, values)

    def _pair(self, source: str, target: str, aligner: Aligner, result: Result, pictured: bool) -> None:
        """How well the source's decoder draws from the target's representation, and from its own."""
        with result.timed("decoders"):
            features = aligner.native(self.protocol.train[source].x, source)
            decoder = self.fit_decoder(source, features, self.train_images)
        with result.timed("measure"):
            own = self.protocol.read(aligner, source, source)
            carried = self.protocol.read(aligner, source, target)
            values = image_metrics(decoder.draw, carried, self.test_images)
            values["own_mse"] = image_mse(decoder.draw, own, self.test_images)
            result.add(source, target, aligner.method, values)
        if pictured:
            result.views.append(self._drawn(source, target, decoder.draw, own, carried))

    def _drawn(self, source: str, target: str, draw: Draw, own: Tensor, carried: Tensor) -> dict[str, Any]:
        """A few test images: as they are, by the target's autoencoder, by the decoder from both encoders."""
        rows = {
            "original": self.test_images[self.shown],
            "own": _pixels(draw(own[self.shown])),
            "stitched": _pixels(draw(carried[self.shown])),
        }
        if target in self.own:
            latents = self.protocol.test[target][self.shown]
            rows["autoencoder"] = _pixels(self.own[target].draw(latents))
        images = {name: strip(pictures) for name, pictures in rows.items()}
        pair = {"source": source, "target": target}
        return {"kind": "reconstructions", **pair, "count": len(self.shown), "images": images}

    def _latents(self, encoder: str) -> dict[str, Any]:
        """Some test latents along two principal axes of the training latents, the first and the middle one.

        With scales spaced evenly in the logarithm, the first axes differ little and the middle one shows how
        much longer than wide the space is.
        """
        train, test = self.protocol.train[encoder].x.double(), self.protocol.test[encoder][:SHOWN_LATENTS]
        variances, axes = torch.linalg.eigh(torch.atleast_2d(torch.cov(train.T)))
        shown = [0, len(variances) // 2]
        along = (test.double() - train.mean(0)) @ axes.flip(1)[:, shown]
        labels = self.protocol.test_labels
        return {
            "kind": "latents",
            "encoder": encoder,
            "labels": [0] * len(test) if labels is None else labels[: len(test)].tolist(),
            "axes": [number + 1 for number in shown],
            "points": rounded(along),
            "std": variances.flip(0).clamp_min(0).sqrt().tolist(),
        }


def _one_of_each(labels: Tensor | None, count: int) -> Tensor:
    """The first test image of each class, or else the first images."""
    if labels is None:
        return torch.arange(min(count, SHOWN_IMAGES))
    rows = [int((labels == label).nonzero()[0]) for label in labels.unique()]
    return torch.tensor(rows[:SHOWN_IMAGES])


def _pixels(images: Tensor) -> Tensor:
    """[0, 1] -> uint8."""
    return (images * 255.0).round().clamp(0, 255).to(torch.uint8)
