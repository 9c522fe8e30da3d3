"""What deformations of a space do to relative representations, no decoder (Figures 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner
from relrep_exp.config.schema import TaskConfig
from relrep_exp.encoders.embeddings import Embeddings
from relrep_exp.tasks.held_out import HeldOut
from relrep_exp.tasks.result import Result
from relrep_exp.tasks.statistics_cache import Sharing

DRAWN = 3  # coordinates that a figure can show; wider spaces are not kept in the record
DIGITS = 6


def geometry(
    embeddings: Embeddings,
    make_aligner: Callable[[], Aligner],
    task: TaskConfig,
    sharing: Sharing | None = None,
) -> Result:
    """One run: how well the representations of the same test samples agree between every two encoders."""
    result, protocol = Result(), HeldOut(embeddings, make_aligner, task, sharing)
    aligners = protocol.aligners(result)
    with result.timed("measure"):
        protocol.describe(aligners, result)
        for source in protocol.test:
            for target, aligner in aligners.items():
                if source != target:
                    result.add(source, target, aligner.method, _agreement(protocol, aligner, source, target))
        result.views += _views(protocol, aligners)
    return result


def _agreement(protocol: HeldOut, aligner: Aligner, source: str, target: str) -> dict[str, float]:
    """The number of Fig. 2, and how far samples move that lie near the source's origin, and far from it."""
    native, carried = protocol.read(aligner, source, source), protocol.read(aligner, source, target)
    moved = metrics.displacements(native, carried)
    by_radius = protocol.test[source].norm(dim=1).argsort()
    third = max(1, len(by_radius) // 3)
    return {
        "rr_cosine": metrics.matching_cosine(native, carried),
        "shift_near": _rms(moved[by_radius[:third]]),
        "shift_far": _rms(moved[by_radius[-third:]]),
    }


def _views(protocol: HeldOut, aligners: dict[str, Aligner]) -> list[dict[str, Any]]:
    """Each encoder's points, anchors and relative representations, as a decoder of the first reads them.

    Each under the aligner that was fitted without it: anchors that are learned differ from view to view.
    """
    first, n = next(iter(aligners)), protocol.task.view_samples
    labels = protocol.test_labels
    views = []
    for name, aligner in aligners.items():
        carried = aligner.carry(protocol.test[name][:n], first, name)
        space = aligner.space(first)
        if space is None or max(space.members[name].anchors.shape) > DRAWN:
            continue
        view = {
            "points": _rounded(protocol.test[name][:n]),
            "anchors": _rounded(space.members[name].anchors),
            "rr": _rounded(carried),
            "labels": [0] * len(carried) if labels is None else labels[:n].tolist(),
        }
        views.append({"kind": "geometry", "encoder": name, **view})
    return views


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _rounded(x: Tensor) -> Any:
    """Nested lists of x, of any shape."""
    return x.double().mul(10**DIGITS).round().div(10**DIGITS).tolist()
