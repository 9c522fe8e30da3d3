"""Relative representations as aligners: one space for all decoders, as of PARAM Multi, and PARAM Single's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor

from relrep_exp.alignment.aligner import Aligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.relative import RelativeSpace

MakeSpace = Callable[[], RelativeSpace]
Statistics = Literal["train", "support"]


class RelativeAligner(Aligner):
    """One relative space for all: anchors chosen on the training encoders, the others join.

    Args:
        method: the name in tables.
        make_space: a fresh space.
        statistics: of what a joining encoder's mean and covariance are: its unlabelled training embeddings,
            or its support embeddings, which are then all that it gives.
    """

    def __init__(self, method: str, make_space: MakeSpace, statistics: Statistics = "train"):
        self.method, self._statistics = method, statistics
        self._space = make_space()
        self._fitted_on = ""

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors on all training encoders (PARAM Multi, Algorithm 1 line 3)."""
        self._space.fit(spaces)
        self._fitted_on = "+".join(spaces)
        return self

    def join(self, name: str, space: Space) -> None:
        """Build the joining encoder's anchors from its support embeddings (Algorithm 1 line 9)."""
        _join(self._space, name, space, self._statistics)

    def native(self, x: Tensor, encoder: str) -> Tensor:
        """RR(x) in the shared space, [N, m]."""
        return self._space.transform(x, encoder)

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """RR(x) of the target's x: every decoder reads the same space."""
        return self._space.transform(x, target)

    def reading(self, source: str, target: str) -> str:
        """Of the target's projection: every decoder reads the same space."""
        return self._space.reading(target)

    def space(self, source: str) -> RelativeSpace:
        """The one space."""
        return self._space

    def points(self, name: str) -> int:
        """The support samples that the anchors mix."""
        return self._space.anchor_set.used_points()

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """The losses of the one fit, where there was one."""
        return _curves({self._fitted_on: self._space})

    def diagnostics(self) -> dict[str, Any]:
        """Dimensions, condition numbers, effective support points."""
        return _diagnostics({self._fitted_on: self._space})


class FirstRelativeAligner(RelativeAligner):
    """One relative space for all, its anchors chosen on one training encoder: the first by name."""

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors on the first encoder; the other training encoders enter with all they have."""
        first = min(spaces)
        super().fit({first: spaces[first]})
        for name, space in spaces.items():
            if name != first:
                self._space.admit(name, space)
        return self


class SingleRelativeAligner(Aligner):
    """One relative space per decoder: anchors chosen on the decoder's own encoder alone (PARAM Single).

    Args:
        method: the name in tables.
        make_space: a fresh space.
        statistics: as of `RelativeAligner`.
    """

    def __init__(self, method: str, make_space: MakeSpace, statistics: Statistics = "train"):
        self.method, self._statistics = method, statistics
        self._make_space = make_space
        self._held: dict[str, Space] = {}
        self._joined: set[str] = set()
        self._spaces: dict[str, RelativeSpace] = {}

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Remember the encoders; a space is made when its decoder is asked for."""
        self._held.update(spaces)
        return self

    def join(self, name: str, space: Space) -> None:
        """Remember the encoder; it enters each decoder's space with its support and statistics only."""
        self._held[name] = space
        self._joined.add(name)

    def native(self, x: Tensor, encoder: str) -> Tensor:
        """RR(x) over the anchors chosen on `encoder` alone, [N, m]."""
        return self.carry(x, encoder, encoder)

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """RR(x) of the target over the source's anchors, [N, m]."""
        return self._space_with(target, source).transform(x, target)

    def reading(self, source: str, target: str) -> str:
        """Of the target's projection onto the source's anchors."""
        return self._space_with(target, source).reading(target)

    def space(self, source: str) -> RelativeSpace:
        """The space whose anchors are chosen on the source."""
        return self._space_of(source)

    def _space_of(self, source: str) -> RelativeSpace:
        """The space whose anchors are chosen on one encoder, made when it is first asked for."""
        if source not in self._spaces:
            self._spaces[source] = self._make_space().fit({source: self._held[source]})
        return self._spaces[source]

    def _space_with(self, target: str, source: str) -> RelativeSpace:
        """The source's space, which the target has entered."""
        space = self._space_of(source)
        if target not in space.members:
            statistics = self._statistics if target in self._joined else "train"
            _join(space, target, self._held[target], statistics)
        return space

    def points(self, name: str) -> int:
        """The support samples that the anchors of any decoder mix."""
        return max((space.anchor_set.used_points() for space in self._spaces.values()), default=0)

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """The losses of each fit, by the encoder it was made on."""
        return _curves(self._spaces)

    def diagnostics(self) -> dict[str, Any]:
        """Dimensions, condition numbers, effective support points, by the encoder each space was made on."""
        return _diagnostics(self._spaces)


def _join(space: RelativeSpace, name: str, embeddings: Space, statistics: Statistics) -> None:
    """Let an encoder into a space; `Aligner.join` says what may be used of it."""
    if statistics == "support":
        support = embeddings.picked(space.support_ids)
        space.join(name, support.x, metric=support)
    else:
        space.admit(name, embeddings)


def _curves(spaces: Mapping[str, RelativeSpace]) -> dict[str, dict[str, list[float]]]:
    fits = {name: dict(space.anchor_set.curves) for name, space in spaces.items()}
    return {name: curves for name, curves in fits.items() if curves}


def _diagnostics(spaces: Mapping[str, RelativeSpace]) -> dict[str, Any]:
    return {
        name: {
            "support_size": len(space.support_ids),
            "effective_points": float(torch.median(space.anchor_set.effective_points())),
            "condition": {encoder: member.whitening.condition for encoder, member in space.members.items()},
            "dims": {encoder: len(member.whitening.mean) for encoder, member in space.members.items()},
        }
        for name, space in spaces.items()
    }
