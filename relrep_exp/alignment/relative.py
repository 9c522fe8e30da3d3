"""The relative space: anchors shared by all encoders, a similarity, and each encoder's own statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import (
    AnchorSet,
    AnchorStrategy,
    Space,
    choose_anchors,
    common_rows,
    get_anchor_strategy,
)
from relrep_exp.alignment.parallel import SMALLEST
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.scale import check_eps
from relrep_exp.alignment.similarity import Similarity, get_similarity, inner_product
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Eps, Rows, Whitening, blocks_of, centred_product
from relrep_exp.store.files import write_npy
from relrep_exp.training.numbers import as_shipped, wide

FORMAT = FileFormat("relrep_exp.relative_space/1", "space", "a relative space")


@dataclass(frozen=True, eq=False)
class Member:
    """One encoder of the space.

    Attributes:
        whitening: its statistics.
        anchors: its anchors P X_sub, [m, d].
        project: x [N, d] -> relative representations [N, m].
    """

    whitening: Whitening
    anchors: Tensor
    project: Callable[[Tensor], Tensor]

    def same(self, other: Member) -> bool:
        """Tell whether another member, of a space with the same similarity, projects alike."""
        one, two = self.whitening, other.whitening
        if one is not two and not (torch.equal(one.mean, two.mean) and torch.equal(one.matrix, two.matrix)):
            return False
        return torch.equal(self.anchors, other.anchors)


class RelativeSpace:
    """Relative representations of any number of encoders over shared anchors (Eq. 1, 2 and 4).

    Example:
        space = RelativeSpace(anchors="param", similarity="wip", m=64).fit({"a": x_a, "b": x_b})
        space.join("c", x_c[space.support_ids], metric=x_c)
        relative = space.transform(x_c_test, encoder="c")      # [N, 64]

    Args:
        anchors: the name of a strategy as on the command line, `anchors=NAME`; a strategy; or an `AnchorSet`
            made elsewhere. `param` learns P on all encoders given to `fit`, `param_single` on the first of
            them, in the dictionary's order: a decoder's own encoder on the command line. Both by name compare
            by the space's similarity.
        similarity: the name of a similarity as on the command line, `sim=NAME`, or one.
        m: number of anchors.
        support: K, at most this many samples are mixed into anchors.
        shrinkage: lambda of Appendix B.
        eps: additive constant of Appendix B; `auto`: 5e-8 of an encoder's mean variance, tr(Sigma)/d.
        seed: draws the support set and whatever the strategy draws.

    Raises:
        ValueError: no strategy or similarity has the name; the message has the nearest, and all there are.
    """

    def __init__(
        self,
        anchors: str | AnchorStrategy | AnchorSet = "param",
        similarity: str | Similarity = "wip",
        *,
        m: int = 300,
        support: int = 5000,
        shrinkage: float = SHRINKAGE,
        eps: Eps = EPS,
        seed: int = 0,
    ):
        self.similarity = get_similarity(similarity) if isinstance(similarity, str) else similarity
        self._anchor_set = anchors if isinstance(anchors, AnchorSet) else None
        self._strategy: AnchorStrategy | None = None
        if isinstance(anchors, str):
            strategy = get_anchor_strategy(anchors)
            # symNCE compares what decoders will read, as on the command line; PARAM alone has this method,
            # and its module, which imports Lightning, is not imported here to ask
            comparing = getattr(strategy, "comparing", None)
            self._strategy = comparing(self.similarity) if comparing else strategy
        elif not isinstance(anchors, AnchorSet):
            self._strategy = anchors
        self.m, self.support, self.seed = m, support, seed
        self.shrinkage, self.eps = shrinkage, eps
        self.members: dict[str, Member] = {}

    @property
    def anchor_set(self) -> AnchorSet:
        """Support ids and P.

        Raises:
            RuntimeError: before `fit`.
        """
        if self._anchor_set is None:
            raise RuntimeError("the space is not fitted: call fit({name: embeddings}) first")
        return self._anchor_set

    @property
    def support_ids(self) -> Tensor:
        """Row numbers [K] of the parallel samples whose embeddings a joining encoder must give."""
        return self.anchor_set.ids

    @as_shipped()
    def fit(self, spaces: Mapping[str, Tensor | Space]) -> Self:
        """Choose the anchors on these encoders and admit them.

        Args:
            spaces: embeddings [N, d_i] of the same N training samples, row by row, for each encoder.

        Raises:
            ValueError: no encoder, rows that are not parallel, or embeddings without variance.
        """
        held = {name: x if isinstance(x, Space) else Space(x.detach()) for name, x in spaces.items()}
        common_rows(held)
        self.members = {}  # of an earlier fit, over other anchors
        if self._strategy is not None:
            self._anchor_set = choose_anchors(
                self._strategy,
                held,
                self.m,
                support=self.support,
                seed=self.seed,
                shrinkage=self.shrinkage,
                eps=self.eps,
            )
        for name, space in held.items():
            self.admit(name, space)
        return self

    @as_shipped()
    def admit(self, name: str, space: Space) -> Self:
        """Let in an encoder by its embeddings of all N training samples, of which the support is taken."""
        ids = self.support_ids.to(space.x.device)
        return self._add(name, space.x[ids], space.whitening(self.shrinkage, self.eps))

    @as_shipped()
    def join(self, name: str, support: Tensor, metric: Rows | Space | None = None) -> Self:
        """Let in an encoder that the anchors were not chosen on.

        Args:
            name: what `transform` will call it.
            support: its embeddings of the samples `support_ids`, in that order, [K, d].
            metric: its own unlabelled embeddings for mean and covariance, [N, d], a tensor or `FileRows`; the
                support by default.
        """
        support = wide(support)
        measured = support if metric is None else metric
        if isinstance(measured, Space):
            whitening = measured.whitening(self.shrinkage, self.eps)
        else:
            whitening = Whitening.fit(measured, self.shrinkage, self.eps)
        return self._add(name, support, whitening.to(support.device))

    def transform(self, x: Tensor, encoder: str) -> Tensor:
        """Compute relative representations RR(x) (Eq. 1). x [N, d] -> [N, m].

        x is cast to the type of the encoder's anchors, as embeddings were when it joined: float32 at least.

        Raises:
            ValueError: the encoder is unknown or x has another dimension.
        """
        member = self._reader(encoder, x)
        return member.project(x.to(member.anchors.dtype))

    def transform_blocks(self, x: Rows, encoder: str) -> Iterator[Tensor]:
        """Do the same with any number of rows, block after block, [n, m]; memory does not grow with N.

        Blocks are cast to the type of the encoder's anchors: files of float64 are read by a float32 space.

        Args:
            x: a tensor or `FileRows`, [N, d].
            encoder: that made them.

        Raises:
            ValueError: as of `transform`, before the first block.
        """
        member = self._reader(encoder, x[:1])
        blocks = blocks_of(x, member.anchors.device)
        return (member.project(block.to(member.anchors)) for _, block in blocks)

    def transform_file(self, x: Rows, encoder: str, out: str | Path) -> None:
        """Do the same into a .npy file [N, m], which appears whole or not at all; `numpy.load` can map it.

        Raises:
            ValueError: as of `transform`.
            UserError: the disk has not the room, or the folder cannot be written.
        """
        write_npy(Path(out), len(x), self.transform_blocks(x, encoder))

    def _reader(self, encoder: str, x: Tensor) -> Member:
        """Find the member that reads embeddings like x [N, d]."""
        check_joined(encoder, self.members)
        member = self.members[encoder]
        check_dimension(encoder, x, member.anchors.shape[1])
        return member

    def save(self, path: str | Path) -> None:
        """Write anchors, statistics and settings as one safetensors file."""
        tensors = {"ids": self.anchor_set.ids, "weights": self.anchor_set.weights}
        members = []
        for number, (name, member) in enumerate(self.members.items()):
            tensors[f"{number}.anchors"] = member.anchors
            tensors[f"{number}.mean"] = member.whitening.mean
            tensors[f"{number}.matrix"] = member.whitening.matrix
            w = member.whitening
            members.append({"name": name, "condition": w.condition, "rank": w.rank, "count": w.count})
        settings = {name: getattr(self, name) for name in ("m", "support", "shrinkage", "eps", "seed")}
        header = {"similarity": self.similarity.name, "settings": settings, "members": members}
        FORMAT.write(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> RelativeSpace:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            ValueError: the file is not a relative space.
        """
        tensors, header = FORMAT.read(path)
        anchors = AnchorSet(tensors["ids"], tensors["weights"])
        space = cls(anchors, header["similarity"], **header["settings"])
        for i, member in enumerate(header["members"]):
            name = member.pop("name")
            whitening = Whitening(tensors[f"{i}.mean"], tensors[f"{i}.matrix"], **member)
            space.members[name] = space._member(tensors[f"{i}.anchors"], whitening)
        return space

    def _add(self, name: str, support: Tensor, whitening: Whitening) -> Self:
        if support.shape[1:] != whitening.mean.shape:
            raise ValueError(
                f"{name!r}: support has dimension {support.shape[1]}, its metric set {len(whitening.mean)}"
            )
        if self.similarity.prepare == "whitened":
            check_eps(name, support, self.eps)
        self.members[name] = self._member(self.anchor_set.mix(support), whitening)
        return self

    def _member(self, anchors: Tensor, whitening: Whitening) -> Member:
        return Member(whitening, anchors, bind(self.similarity, anchors, whitening))


def check_joined(name: str, members: Collection[str]) -> None:
    """Refuse an encoder that is none of the members.

    Raises:
        ValueError: it never joined; the message lists those that did.
    """
    if name not in members:
        raise ValueError(f"encoder {name!r} never joined; there are {', '.join(members) or 'none'}")


def check_dimension(name: str, x: Tensor, d: int) -> None:
    """Refuse what cannot be embeddings [N, d] of an encoder.

    Raises:
        ValueError: x is no matrix or has another dimension.
    """
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"{name!r} has dimension {d}, x is {tuple(x.shape)}")


def bind(similarity: Similarity, anchors: Tensor, whitening: Whitening) -> Callable[[Tensor], Tensor]:
    """Make the map x [N, d] -> [N, m] for fixed anchors, all that depends on them alone computed once.

    WIP folds both whitenings into the anchors: (x - mu) Sigma^-1 (a - mu) is one product per x (Eq. 4).
    Cosine divides the products by the norms, as there are fewer of them than entries of x.
    """
    points = similarity.points(anchors, whitening)
    if similarity.prepare == "whitened" and similarity.compare is inner_product:
        folded = (points @ whitening.matrix).T.contiguous()
        return as_shipped()(lambda x: centred_product(x, whitening.mean, folded))
    if similarity.prepare == "unit" and similarity.compare is inner_product:
        unit = points.T.contiguous()
        return as_shipped()(lambda x: (x @ unit) / x.norm(dim=1, keepdim=True).clamp_min(SMALLEST))
    return as_shipped()(lambda x: similarity.compare(similarity.points(x, whitening), points))
