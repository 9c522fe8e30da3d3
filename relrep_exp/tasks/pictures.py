"""Images inside a record: what an anchor is, and strips of images as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.data.image_samples import Picked
from relrep_exp.data.samples import ImageSamples
from relrep_exp.tasks.work import Work

Array = np.ndarray[Any, Any]

SHOWN = 6  # support samples and neighbours of each anchor
SIDE = 32  # pixels of a thumbnail's longer side, at most


def anchor_view(work: Work, aligner: Aligner, source: str, target: str) -> list[dict[str, Any]]:
    """Show the first `task.view_anchors` anchors: the images that each mixes, those nearest, its mixture.

    Neighbours are sought among all training samples, in the whitened space of the source.

    Args:
        work: the run.
        aligner: fitted without the target.
        source: whose decoder has the anchors.
        target: the test encoder.

    Returns:
        One view, or none where samples are no images or the method has no anchors:
        `{kind, source, target, support, effective_points: [m], size: [width, height],
        anchors: [{support, weights, nearest, support_images, nearest_images, mixture}]}`. Rows are numbers of
        training samples, images are PNG in base64, several of them side by side.
    """
    space, images = aligner.space(source), work.embeddings.images
    if images is None or space is None:
        return []
    is_train = work.embeddings.paired[source].is_train
    images = Picked(images, is_train.nonzero()[:, 0].tolist())
    anchors, member = space.anchor_set, space.members[source]
    weights, ids = anchors.weights[: work.config.task.view_anchors].cpu(), anchors.ids.tolist()
    points, centres = member.whitening(work.train[source].x), member.whitening(member.anchors[: len(weights)])
    # Not by |x|^2 - 2 x.a + |a|^2, whose rounding would put a sample beside its own anchor.
    distances = torch.stack([(points - centre).square().sum(1) for centre in centres])
    nearest = distances.topk(min(SHOWN, len(points)), largest=False).indices.tolist()

    thumbnails = Thumbnails(images, images[ids[0]].shape)
    shown = []
    for row, near, mixture in zip(weights, nearest, thumbnails.mixtures(ids, weights), strict=True):
        heaviest = row.topk(min(SHOWN, len(row)))
        mixed = zip(heaviest.values.tolist(), heaviest.indices.tolist(), strict=True)
        kept = [(weight, ids[i]) for weight, i in mixed if weight > 0]
        rows = [number for _, number in kept]
        shown.append(
            {
                "support": rows,
                "weights": [weight for weight, _ in kept],
                "support_images": thumbnails.strip(rows),
                "nearest": near,
                "nearest_images": thumbnails.strip(near),
                "mixture": png(mixture),
            }
        )
    return [
        {
            "kind": "anchors",
            "source": source,
            "target": target,
            "support": len(ids),
            "effective_points": [round(points, 4) for points in anchors.effective_points().tolist()],
            "size": list(thumbnails.size),
            "anchors": shown,
        }
    ]


class Thumbnails:
    """Make images small, all of one size.

    Args:
        images: of the training samples.
        shape: of the first one, [H, W] or [H, W, 3]: the others become like it.
    """

    def __init__(self, images: ImageSamples, shape: Sequence[int]):
        self.images, self.mode = images, "L" if len(shape) == 2 else "RGB"
        height, width = shape[:2]
        shrunk = min(1.0, SIDE / max(height, width))
        self.size = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))

    def of(self, row: int) -> Array:
        """Shrink one of them: uint8, [h, w] or [h, w, 3]."""
        from PIL import Image

        image = Image.fromarray(self.images[row]).convert(self.mode)
        return np.asarray(image if image.size == self.size else image.resize(self.size))

    def strip(self, rows: Sequence[int]) -> str:
        """Put several side by side."""
        return png(np.concatenate([self.of(row) for row in rows], axis=1))

    def mixtures(self, rows: Sequence[int], weights: Tensor) -> Array:
        """Mix images as anchors are, P times pixels. weights [n, K] -> uint8, [n, h, w] or [n, h, w, 3]."""
        pixels = np.stack([self.of(row) for row in rows])
        mixed = weights.double().numpy() @ pixels.reshape(len(rows), -1)
        images: Array = np.rint(mixed).astype(np.uint8).reshape(len(weights), *pixels.shape[1:])
        return images


def strip(images: Tensor) -> str:
    """Put images, uint8 [n, C, H, W] with one or three channels, side by side as a PNG in base 64."""
    pixels = images.cpu().permute(2, 0, 3, 1).flatten(1, 2).numpy()  # [H, n * W, C]
    return png(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else pixels)


def png(pixels: Array) -> str:
    """Write pixels, uint8 [H, W] or [H, W, 3], as a PNG in base 64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
