"""Embeddings by several encoders, from which every task starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from relrep_exp.data.samples import ImageSamples


@dataclass(frozen=True)
class Corpus:
    """Embeddings by one encoder.

    Attributes:
        x: float32, [N, d].
        is_train: bool, [N].
        labels: class numbers 0 .. C-1, int64, [N]; None where nothing is classified.
    """

    x: Tensor
    is_train: Tensor
    labels: Tensor | None = None

    def to(self, device: torch.device) -> Corpus:
        """Copy them to a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Corpus(self.x.to(device), self.is_train.to(device), labels)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of the same samples by all encoders: what aligners, decoders and metrics see.

    Attributes:
        paired: encoder -> embeddings whose row n is the same sample everywhere, with the same split: anchors
            and P come from its training rows, agreement is measured on the others.
        tasks: encoder -> embeddings that decoders are trained and tested on, and of whose training rows mean
            and covariance are; the same objects as in `paired` where the task's own samples are paired.
        keys: encoder -> identity of its paired embeddings, for whatever is cached about them.
        notes: what a record should say about data and encoders: counts, samples left out, encoders skipped.
        images: of the rows of `paired`, in their order; None where the samples are no images.
        task_keys: as `keys`, of the embeddings in `tasks`; empty where those are the same.
        own_keys: as `keys`, of the embeddings in `tasks`, also where those are the same.
        names: the encoders.
        paired_count: how many paired training samples there are.
        classes: C, the number of classes; 0 where nothing is classified.
    """

    paired: Mapping[str, Corpus]
    tasks: Mapping[str, Corpus]
    keys: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict)
    images: ImageSamples | None = None
    task_keys: Mapping[str, str] = field(default_factory=dict)
    own_keys: Mapping[str, str] = field(init=False)
    names: list[str] = field(init=False)
    paired_count: int = field(init=False)
    classes: int = field(init=False)

    def __post_init__(self) -> None:
        labels = [corpus.labels for corpus in self.tasks.values() if corpus.labels is not None]
        known = {
            "own_keys": {**self.keys, **self.task_keys},
            "names": list(self.paired),
            "paired_count": min((int(one.is_train.sum()) for one in self.paired.values()), default=0),
            "classes": max((int(y.max()) + 1 for y in labels if len(y)), default=0),
        }
        self.__dict__.update(known)  # it is frozen from here on

    def to(self, device: torch.device) -> Embeddings:
        """Copy them to a device."""
        moved = {id(c): c.to(device) for c in (*self.paired.values(), *self.tasks.values())}
        paired, tasks = (
            {name: moved[id(corpus)] for name, corpus in group.items()} for group in (self.paired, self.tasks)
        )
        return replace(self, paired=paired, tasks=tasks)
