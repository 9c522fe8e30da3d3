"""What an anchor is: the images that it mixes, those nearest to it, and its mixture, kept in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.relative import Member
from relrep_exp.config.schema import TaskConfig
from relrep_exp.data.samples import ImageSamples
from relrep_exp.tasks.result import ANCHORS
from relrep_exp.tasks.strips import png

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

SHOWN = 6  # support samples and neighbours of each anchor
SIDE = 32  # pixels of a thumbnail's longer side, at most


def anchor_views(
    train: Mapping[str, Space],
    aligner: Aligner,
    pair: tuple[str, str],
    images: ImageSamples | None,
    task: TaskConfig,
) -> list[dict[str, Any]]:
    """The first `task.view_anchors` anchors of an aligner.

    Neighbours are sought among all training samples, in the whitened space of the source.

    Args:
        train: training embeddings of every encoder, rows parallel.
        aligner: fitted without the target.
        pair: source and target.
        images: of the same rows; None where there are none, and then there is no view.
        task: how many anchors.

    Returns:
        One view, or none: `{kind, source, target, support, effective_points: [m], size: [width, height],
        anchors: [{support, weights, nearest, support_images, nearest_images, mixture}]}`. Rows are numbers of
        training samples, images are PNG in base64, several of them side by side.
    """
    source, target = pair
    space = aligner.space(source)
    if not task.view_anchors or images is None or space is None:
        return []
    anchors, member = space.anchor_set, space.members[source]
    weights, ids = anchors.weights[: task.view_anchors].cpu(), anchors.ids.tolist()
    nearest = _nearest(train[source].x, member, task.view_anchors)
    thumbnails = Thumbnails(images, images[ids[0]].shape)
    mixtures = thumbnails.mixtures(ids, weights)
    return [
        {
            "kind": ANCHORS,
            "source": source,
            "target": target,
            "support": len(ids),
            "effective_points": [round(points, 4) for points in anchors.effective_points().tolist()],
            "size": list(thumbnails.size),
            "anchors": [
                {**_mixed(row, ids, thumbnails), **_near(near, thumbnails), "mixture": png(mixture)}
                for row, near, mixture in zip(weights, nearest.tolist(), mixtures, strict=True)
            ],
        }
    ]


def _mixed(row: Tensor, ids: Sequence[int], thumbnails: Thumbnails) -> dict[str, Any]:
    """The support samples with the largest weights in a row of P, those without weight left out."""
    found = row.topk(min(SHOWN, len(row)))
    kept = [(w, ids[i]) for w, i in zip(found.values.tolist(), found.indices.tolist(), strict=True) if w > 0]
    rows = [number for _, number in kept]
    return {"support": rows, "weights": [w for w, _ in kept], "support_images": thumbnails.strip(rows)}


def _near(rows: Sequence[int], thumbnails: Thumbnails) -> dict[str, Any]:
    return {"nearest": list(rows), "nearest_images": thumbnails.strip(rows)}


def _nearest(x: Tensor, member: Member, count: int) -> Tensor:
    """Rows of x [N, d] by their distance to each of the first anchors in whitened space, [count, SHOWN]."""
    points = member.whitening(x)
    centres = member.whitening(member.anchors[:count])
    # Not by |x|^2 - 2 x.a + |a|^2, whose rounding would put a sample beside its own anchor.
    distances = torch.stack([(points - centre).square().sum(1) for centre in centres])
    return distances.topk(min(SHOWN, len(x)), largest=False).indices


class Thumbnails:
    """Images made small, all of one size.

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
        """One of them: uint8, [h, w] or [h, w, 3]."""
        from PIL import Image

        image = Image.fromarray(self.images[row]).convert(self.mode)
        return np.asarray(image if image.size == self.size else image.resize(self.size))

    def strip(self, rows: Sequence[int]) -> str:
        """Several side by side."""
        return png(np.concatenate([self.of(row) for row in rows], axis=1))

    def mixtures(self, rows: Sequence[int], weights: Tensor) -> Array:
        """Images mixed as anchors are: P times pixels. weights [n, K] -> uint8, [n, h, w] or [n, h, w, 3]."""
        pixels = np.stack([self.of(row) for row in rows])
        mixed = weights.double().numpy() @ pixels.reshape(len(rows), -1)
        images: Array = np.rint(mixed).astype(np.uint8).reshape(len(weights), *pixels.shape[1:])
        return images
