"""Leave one encoder out (Algorithm 1): what all tasks that align have in common.

For every test encoder an aligner is fitted on all the others, which then reads the test encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relrep_exp.alignment import chance, metrics, sampling
from relrep_exp.alignment.aligner import Aligner, Readings
from relrep_exp.tasks.identity import method_name
from relrep_exp.tasks.measure import ALIGNERS
from relrep_exp.tasks.pictures import anchor_view
from relrep_exp.tasks.work import Result, Work
from relrep_exp.training.seeding import generator

PERMUTED_ROWS = 500  # up to which `task.permutations=auto` permutes
_LOG = logging.getLogger("relrep_exp")


def fit_aligners(work: Work, make: Callable[[], Aligner] | None = None) -> dict[str, Aligner]:
    """Fit for each test encoder an aligner on all others, which it then joins (Algorithm 1, lines 3 and 9).

    Args:
        work: is added the seconds of both, `align` and `join`; what a decoder of the test encoder's own reads
            is learned on that encoder, and so counts as `align`.
        make: a fresh aligner; by default of the configured method.
    """
    if not work.config.task.aligned:
        return {}
    make = make or ALIGNERS[work.config.aligner.name](work)
    targets, aligners = work.config.task.test_encoders or list(work.train), {}
    for number, target in enumerate(targets, 1):
        others = {name: space for name, space in work.train.items() if name != target}
        step = f"{number} of {len(targets)}"
        _LOG.info("fit %s: %s on %s", step, method_name(work.config), ", ".join(others))
        with work.timed("align"):
            aligner = make().fit(others)
        _LOG.info("join %s: %s", step, target)
        with work.timed("join"):
            aligner.join(target, work.train[target])
        with work.timed("align"):
            aligner.fit_own(target, work.train[target])
        aligners[target] = aligner
    return aligners


def retrieval(work: Work, aligners: Mapping[str, Aligner]) -> Result:
    """Let every test sample of a source look for itself in the zero-shot encoder, no decoder (Tables 3, 7).

    The aligner of each pair never saw the zero-shot encoder (the row's target).
    """
    with work.timed("measure"):
        return describe(work, aligners, Readings(work.test))


def describe(work: Work, aligners: Mapping[str, Aligner], read: Readings) -> Result:
    """Measure each representation, and how well those of every pair agree on the same test samples.

    Args:
        work: the run.
        aligners: by test encoder.
        read: the test embeddings as decoders read them.
    """
    result, names = Result(), list(work.train)
    pairs = [(s, t) for s in names for t, aligner in aligners.items() if s != t and aligner.carries(s, t)]
    _LOG.info("measure: %d pairs", len(pairs))
    values: dict[tuple[str, str], dict[str, float]] = {}
    for target, aligner in aligners.items():
        result.curves |= aligner.curves()
        points, result.diagnostics[target] = aligner.points(), aligner.diagnostics()
        own = read(aligner, target, target)
        found = {"rr_std": metrics.feature_std(own), "effective_rank": metrics.effective_rank(own)}
        if any(target == joined for _, joined in pairs):  # no one else can read an absolute encoder
            found["parallel_points"] = points
        values[target, target] = found
    for source, target in pairs:
        native, carried = (read(aligners[target], source, encoder) for encoder in (source, target))
        nearest = metrics.retrieve(native, carried)
        values[source, target] = {
            "mrr": nearest.mrr(),
            "recall@1": nearest.recall(1),
            "recall@5": nearest.recall(5),
            "nmse": metrics.normalised_mse(native, carried),
            "cka": metrics.linear_cka(native, carried),
            "cka_debiased": chance.debiased_cka(native, carried),
            "overlap": metrics.neighbourhood_overlap(native, carried, work.config.task.neighbours),
            "mrr_se": sampling.mean_error(nearest.ranks.reciprocal()),
            "recall@1_se": sampling.mean_error(nearest.ranks <= 1),
            "recall@5_se": sampling.mean_error(nearest.ranks <= 5),
            **_beyond_chance(work, native, carried),
        }
    for (source, target), found in values.items():
        result.add(source, target, aligners[target].method, found)
    # Figures show the first two encoders, if the second is tested.
    target = names[1] if names[1] in aligners else next(iter(aligners))
    source = next(name for name in names if name != target)
    result.views.append(_samples_view(work, aligners[target], source, target))
    if work.config.task.view_anchors:
        result.views += anchor_view(work, aligners[target], source, target)
    return result


def _beyond_chance(work: Work, native: Tensor, carried: Tensor) -> dict[str, float]:
    """Compare the agreement of parallel rows with that of permuted ones; all pairs have the same orders."""
    task, n = work.config.task, len(native)
    few = chance.LEAST_PERMUTATIONS if n <= PERMUTED_ROWS else 0
    permutations = task.permutations if isinstance(task.permutations, int) else few
    if not permutations or n < 2:
        return {}
    draws = generator(work.config.seed, "permutations")
    return chance.beyond_chance(native, carried, task.neighbours, permutations, draws)


def _samples_view(work: Work, aligner: Aligner, source: str, target: str) -> dict[str, Any]:
    """Project the first test samples of two encoders onto a plane chosen on the source's."""
    n = work.config.task.view_samples
    shared = aligner.carries(source, target)
    native = aligner.carry(work.test[source][:n], source, source)
    carried = aligner.carry(work.test[target][:n], source if shared else target, target)
    plane = _principal_plane(native)
    return {
        "kind": "samples",
        "source": source,
        "target": target,
        "labels": [0] * len(native) if work.test_labels is None else work.test_labels[:n].tolist(),
        "shared": shared,
        "native": rounded(plane(native)),
        "carried": rounded(plane(carried) if shared else _principal_plane(carried)(carried)),
    }


def _principal_plane(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Project onto the first two principal axes of x [n, k], signs fixed by the largest loading."""
    mean = x.mean(0)
    found = torch.linalg.svd(x - mean, full_matrices=False).Vh[:2]
    axes = torch.cat([found, found.new_zeros(2 - len(found), x.shape[1])])
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return lambda points: (points - mean) @ (axes * signs).T


def rounded(points: Tensor) -> list[list[float]]:
    """Round points [n, 2] for a record: four digits are enough for a figure."""
    return [[round(value, 4) for value in point] for point in points.tolist()]
