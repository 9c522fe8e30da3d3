"""Samples through encoders: the embeddings of a task, with what is paired and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from relrep_exp.config.schema import DataConfig, ParallelConfig
from relrep_exp.config.views import IMAGE
from relrep_exp.data import sources as data_sources
from relrep_exp.data.image_samples import Picked
from relrep_exp.data.samples import ImageSamples, Samples
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.encoders.encoder import EncoderSource
from relrep_exp.encoders.extraction import Extracted, extract
from relrep_exp.encoders.settings import Extraction
from relrep_exp.encoders.zoo_sources import described
from relrep_exp.store.files import digest
from relrep_exp.store.keys import content_key

_NAMED = 20  # rows that a record names one by one


@dataclass(frozen=True)
class Group:
    """Samples with the identity of each view."""

    samples: Samples
    identity: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, config: DataConfig | ParallelConfig, views: Sequence[str], offline: bool) -> Group:
        """Read them.

        Raises:
            UserError: they are not what the configuration says.
        """
        return cls(data_sources.load(config, views, offline), data_sources.identity(config, views, offline))


def embed(
    encoders: Mapping[str, EncoderSource],
    own: Group,
    paired: Group,
    outputs: Path,
    how: Extraction,
    notes: Mapping[str, Any],
) -> Embeddings:
    """All samples by all encoders.

    Args:
        encoders: the zoo.
        own: the task's own samples.
        paired: samples that are parallel across encoders; the same object where the task's own are.
        outputs: where embeddings are kept.
        how: how they are computed where they are not there.
        notes: what else the record should say.

    Raises:
        UserError: a sample cannot be read, an encoder cannot be loaded, or the disk is full.
    """
    tasks, task_keys, readable = _corpora(encoders, own, outputs, how)
    corpora, keys, left_out = tasks, task_keys, _left_out(readable)
    if paired is not own:
        corpora, keys, readable = _corpora(encoders, paired, outputs, how)
    said = {**own.samples.notes, **notes, **({"left_out": left_out} if left_out else {})}
    if paired is not own:
        said["paired"] = dict(paired.samples.notes)
    return Embeddings(corpora, tasks, keys, said, _images(paired.samples, readable), task_keys)


def _corpora(
    encoders: Mapping[str, EncoderSource], group: Group, outputs: Path, how: Extraction
) -> tuple[dict[str, Corpus], dict[str, str], dict[str, Tensor]]:
    """Each encoder's embeddings, their keys, and which rows of the samples they are of.

    Other rows make other keys: which are left out may depend on what the other encoders can read.
    """
    found: dict[str, Extracted] = {}
    keys = {}
    for name, source in encoders.items():
        parts = described(source, group.identity)
        keys[name] = content_key(parts)
        samples = group.samples.views[source.view].samples
        found[name] = extract(keys[name], name, samples, source.load, parts, outputs, how)
    readable = _readable(found, group.samples.parallel)
    corpora = {}
    for name, source in encoders.items():
        view, kept = group.samples.views[source.view], readable[name]
        labels = None if view.labels is None else view.labels[kept]
        x = found[name].x
        if not kept.all():  # picking rows copies, and there is seldom anything to leave out
            x, keys[name] = x[kept], content_key({"embeddings": keys[name], "rows": digest(kept)})
        corpora[name] = Corpus(x, view.is_train[kept], labels)
    return corpora, keys, readable


def _readable(found: Mapping[str, Extracted], parallel: bool) -> dict[str, Tensor]:
    """The rows that are kept: of parallel samples those that every encoder could read."""
    masks = {name: extracted.ok for name, extracted in found.items()}
    if parallel and masks:
        common = torch.stack(list(masks.values())).all(0)
        return dict.fromkeys(masks, common)
    return masks


def _images(samples: Samples, readable: Mapping[str, Tensor]) -> ImageSamples | None:
    """The images behind the paired rows; None where encoders read something else."""
    view = samples.views.get(IMAGE)
    if view is None:
        return None
    kept = next(iter(readable.values()))
    return Picked(cast("ImageSamples", view.samples), kept.nonzero()[:, 0].tolist())


def _left_out(readable: Mapping[str, Tensor]) -> dict[str, Any]:
    """How many rows each encoder goes without, and the first of them."""
    lost = {name: (~kept).nonzero()[:, 0].tolist() for name, kept in readable.items()}
    return {name: {"rows": len(rows), "first": rows[:_NAMED]} for name, rows in lost.items() if rows}
