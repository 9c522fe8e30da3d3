"""Let a decoder of one encoder read another: what every method does.

The relative ones have one space for all decoders, as PARAM Multi, or one for each, as PARAM Single.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet, Space
from relrep_exp.alignment.members import Member, check_dimension, check_joined
from relrep_exp.alignment.relative import RelativeSpace

MakeSpace = Callable[[], RelativeSpace]
Statistics = Literal["train", "support"]


class Aligner(ABC):
    """Fitted on training encoders; others join with K support embeddings and their own statistics.

    All that is learned or estimated is so in `fit`, `join` and `fit_own`; reading rows sets off nothing.

    Attributes:
        method: the name in tables; says the aligner with its parts, e.g. `param-wip`.
    """

    method: str

    @abstractmethod
    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Learn from the training encoders' parallel embeddings."""

    @abstractmethod
    def join(self, name: str, space: Space) -> None:
        """Let in an encoder that nothing was learned on.

        Only its support embeddings and the statistics of its unlabelled training embeddings may be used for
        what others read of it.
        """

    def fit_own(self, name: str, space: Space) -> None:  # noqa: B027  # most methods have nothing to add
        """Learn what only a decoder of an encoder that joined reads, which may use all of its embeddings."""

    @abstractmethod
    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Represent the target's x [N, d] as the source's decoder reads it, [N, k] with the source's k.

        The target is the source itself, whose decoder is trained on this, or an encoder that joined.
        """

    def carries(self, source: str, target: str) -> bool:
        """Tell whether `carry` is defined for this pair."""
        return True

    def space(self, source: str) -> RelativeSpace | None:
        """Give the relative space that a decoder of the source reads; None where the method has none."""
        return None

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Give the loss per epoch of whatever was trained, by fit and by loss."""
        return {}

    def points(self) -> int:
        """Count the parallel samples that it takes to fit, and to read an encoder that joins."""
        return 0

    def diagnostics(self) -> dict[str, Any]:
        """Tell what a careful reader wants beside the numbers: condition numbers, ranks, counts."""
        return {}


class AbsoluteAligner(Aligner):
    """No alignment: embeddings as they are. Only the matching encoder is defined, dimensions differ."""

    method = "absolute"

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Learn nothing."""
        return self

    def join(self, name: str, space: Space) -> None:
        """Prepare nothing."""

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Return x itself, for the matching encoder only.

        Raises:
            ValueError: source and target differ.
        """
        if source != target:
            raise ValueError(f"absolute embeddings of {target!r} mean nothing to a decoder of {source!r}")
        return x

    def carries(self, source: str, target: str) -> bool:
        """Tell so for the matching encoder alone."""
        return source == target


class RelativeAligner(Aligner):
    """One relative space for all: anchors chosen on the training encoders, the others join.

    Args:
        method: the name in tables.
        make_space: a fresh space.
        statistics: of what a joining encoder's mean and covariance are: its unlabelled training embeddings,
            or its support embeddings, which are then all that it gives.
    """

    def __init__(self, method: str, make_space: MakeSpace, statistics: Statistics = "train"):
        self.method, self._make_space, self._statistics = method, make_space, statistics
        self._fits: dict[str, RelativeSpace] = {}  # by the encoders that the anchors were chosen on

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors on all training encoders (PARAM Multi, Algorithm 1 line 3)."""
        self._fits = {"+".join(spaces): self._make_space().fit(spaces)}
        return self

    def join(self, name: str, space: Space) -> None:
        """Build the joining encoder's anchors from its support embeddings (Algorithm 1 line 9)."""
        for fitted in self._fits.values():
            if self._statistics == "support":
                support = space.picked(fitted.support_ids)
                fitted.join(name, support.x, metric=support)
            else:
                fitted.admit(name, space)

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Represent the target's x by its similarities to the anchors that the source's decoder knows."""
        return self.space(source).transform(x, target)

    def space(self, source: str) -> RelativeSpace:
        """Give the one space."""
        [space] = self._fits.values()
        return space

    def points(self) -> int:
        """Count the parallel samples that the anchors of any decoder take, to be chosen and to be mixed."""
        return max(space.anchor_set.used_points for space in self._fits.values())

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Give the losses of each fit, by the encoders it was made on; none where anchors are not learned."""
        found = {name: dict(space.anchor_set.curves) for name, space in self._fits.items()}
        return {name: curves for name, curves in found.items() if curves}

    def diagnostics(self) -> dict[str, Any]:
        """Tell dimensions, condition numbers, effective support points, by what each space was made on."""
        return {
            name: {
                "support_size": len(space.support_ids),
                "effective_points": float(torch.median(space.anchor_set.effective_points())),
                "condition": {one: member.whitening.condition for one, member in space.members.items()},
                "shrinkage": {one: member.shrinkage for one, member in space.members.items()},
                "shrinkage_scores": {str(each): score for each, score in space.choice.scores.items()},
                "dims": {one: len(member.whitening.mean) for one, member in space.members.items()},
            }
            for name, space in self._fits.items()
        }


class FirstRelativeAligner(RelativeAligner):
    """One relative space for all, its anchors chosen on one training encoder: the first by name."""

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors on the first encoder; the other training encoders enter with all they have."""
        first, made = min(spaces), self._make_space()
        self._fits = {first: made.fit({first: spaces[first]}, made.choose_shrinkage(spaces))}
        for name, space in spaces.items():
            if name != first:
                made.admit(name, space)
        return self


class SingleRelativeAligner(RelativeAligner):
    """One relative space per decoder: anchors chosen on the decoder's own encoder alone (PARAM Single)."""

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose anchors on each training encoder, for its own decoder."""
        self._fits = {name: self._make_space() for name in spaces}
        self._choice = next(iter(self._fits.values())).choose_shrinkage(spaces)
        for name, made in self._fits.items():
            made.fit({name: spaces[name]}, self._choice)
        return self

    def fit_own(self, name: str, space: Space) -> None:
        """Choose anchors on one encoder alone, for its own decoder."""
        self._fits[name] = self._make_space().fit({name: space}, self._choice)

    def space(self, source: str) -> RelativeSpace:
        """Give the space whose anchors are chosen on the source."""
        return self._fits[source]


class PairMap(Protocol):
    """A map from one encoder's space to another's."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map x [N, d1] -> [N, d2]."""

    def diagnostics(self) -> dict[str, Any]:
        """Tell condition numbers, ranks, counts."""


Choose = Callable[[Mapping[str, Space]], AnchorSet]
Estimate = Callable[[Tensor, Tensor, str], PairMap]


class PairwiseAligner(Aligner):
    """Translations between every two encoders, each estimated on the two encoders' parallel anchors alone.

    Args:
        method: the name in tables.
        choose: picks the anchors, seeing the training encoders.
        estimate: the map from anchors [n, d1] to anchors [n, d2]; also told the pair's names, for messages.
    """

    def __init__(self, method: str, choose: Choose, estimate: Estimate):
        self.method, self._choose, self._estimate = method, choose, estimate
        self._anchor_set: AnchorSet | None = None
        self._anchors: dict[str, Tensor] = {}
        self._maps: dict[tuple[str, str], PairMap] = {}

    def fit(self, spaces: Mapping[str, Space]) -> Self:
        """Choose the anchors and take every training encoder's embeddings of them."""
        self._anchor_set, self._maps = self._choose(spaces), {}
        self._anchors = {name: self._of(space) for name, space in spaces.items()}
        return self

    def join(self, name: str, space: Space) -> None:
        """Estimate the maps from the joining encoder to each of the others."""
        self._anchors[name] = self._of(space)
        for other, anchors in self._anchors.items():
            if other != name:
                self._maps[name, other] = self._estimate(self._anchors[name], anchors, f"{name} to {other}")

    def carry(self, x: Tensor, source: str, target: str) -> Tensor:
        """Translate the target's x to the source's space, [N, d of the source]; x itself where they are one.

        Raises:
            ValueError: one of them never joined, or x has another dimension than the target's anchors.
        """
        for name in (source, target):
            check_joined(name, self._anchors)
        check_dimension(target, x, self._anchors[target].shape[1])
        if source == target:
            return x
        if (target, source) not in self._maps:
            raise ValueError(
                f"no map from {target!r} to {source!r}: {target!r} was fitted on, it never joined"
            )
        return self._maps[target, source](x)

    def points(self) -> int:
        """Count the samples in the anchors, and those that they were chosen by."""
        return 0 if self._anchor_set is None else self._anchor_set.used_points

    def diagnostics(self) -> dict[str, Any]:
        """Tell what each map tells."""
        return {f"{a} to {b}": pair.diagnostics() for (a, b), pair in self._maps.items()}

    def _of(self, space: Space) -> Tensor:
        """Take an encoder's embeddings of the anchors."""
        if self._anchor_set is None:
            raise RuntimeError("the aligner is not fitted: call fit({name: space}) first")
        return self._anchor_set.mix(space.x[self._anchor_set.ids.to(space.x.device)])


class Readings:
    """Some rows of every encoder as decoders read them, each computed once and kept until the object goes.

    Equal representations are one object. With PARAM Single, for instance, anchors are the source's own: its
    decoder is trained on the same numbers whatever the test encoder is.

    Args:
        rows: encoder -> its embeddings, [N, d].
    """

    def __init__(self, rows: Mapping[str, Tensor]):
        self.rows = rows
        self._read: dict[str, list[tuple[Any, Tensor]]] = {name: [] for name in rows}

    def __call__(self, aligner: Aligner, source: str, target: str) -> Tensor:
        """Represent the target's rows as the source's decoder reads them, [N, k]."""
        space = aligner.space(source)
        reader = (aligner, source) if space is None else space.members[target]
        for by, found in self._read[target]:
            if by == reader or (isinstance(by, Member) and isinstance(reader, Member) and by.same(reader)):
                return found
        made = aligner.carry(self.rows[target], source, target)
        self._read[target].append((reader, made))
        return made
