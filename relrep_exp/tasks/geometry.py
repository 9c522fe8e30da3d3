"""Measure what deformations of a space do to relative representations, no decoder (Figures 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from relrep_exp.alignment import metrics
from relrep_exp.alignment.aligner import Aligner, Readings
from relrep_exp.tasks.held_out import describe
from relrep_exp.tasks.work import Result, Work

DRAWN = 3  # coordinates that a figure can show; wider spaces are not kept in the record
DIGITS = 6


def geometry(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Measure how well representations of the same test samples agree between every two encoders.

    Beside the number of Fig. 2, how far samples move that lie near the source's origin, and far from it.
    """
    read = Readings(work.test)
    with work.timed("measure"):
        result = describe(work, aligners, read)
        for source, x in work.test.items():
            by_radius, third = x.norm(dim=1).argsort(), max(1, len(x) // 3)
            for target, aligner in aligners.items():
                if source != target:
                    native, carried = read(aligner, source, source), read(aligner, source, target)
                    moved = metrics.displacements(native, carried)
                    values = {
                        "rr_cosine": metrics.matching_cosine(native, carried),
                        "shift_near": _rms(moved[by_radius[:third]]),
                        "shift_far": _rms(moved[by_radius[-third:]]),
                    }
                    result.add(source, target, aligner.method, values)
        result.views += _views(work, aligners)
    return result


def _views(work: Work, aligners: Mapping[str, Aligner]) -> list[dict[str, Any]]:
    """Each encoder's points, anchors and relative representations, as a decoder of the first reads them.

    Each under the aligner that was fitted without it: anchors that are learned differ from view to view.
    """
    first, n = next(iter(aligners)), work.config.task.view_samples
    views = []
    for name, aligner in aligners.items():
        carried = aligner.carry(work.test[name][:n], first, name)
        space = aligner.space(first)
        if space is None or max(space.members[name].anchors.shape) > DRAWN:
            continue
        view = {
            "points": _rounded(work.test[name][:n]),
            "anchors": _rounded(space.members[name].anchors),
            "rr": _rounded(carried),
            "labels": [0] * len(carried) if work.test_labels is None else work.test_labels[:n].tolist(),
        }
        views.append({"kind": "geometry", "encoder": name, **view})
    return views


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _rounded(x: Tensor) -> Any:
    """Nested lists of x, of any shape."""
    return x.double().mul(10**DIGITS).round().div(10**DIGITS).tolist()
