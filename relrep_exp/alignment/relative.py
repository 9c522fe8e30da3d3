"""The relative space: anchors shared by all encoders, a similarity, and each encoder's own statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, cast

import torch
from torch import Tensor

from relrep_exp.alignment import geometry
from relrep_exp.alignment.anchors import (
    AnchorSet,
    AnchorStrategy,
    Space,
    choose_anchors,
    common_rows,
    draw_support,
    get_anchor_strategy,
)
from relrep_exp.alignment.geometry import Auto, Choice, Split
from relrep_exp.alignment.members import Member, check_dimension, check_joined
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.scale import check_eps
from relrep_exp.alignment.similarity import Similarity, bind, get_similarity
from relrep_exp.alignment.standard import Standard, Standardise
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Eps, Rows, Whitening, blocks_of
from relrep_exp.store.files import write_npy
from relrep_exp.training.numbers import as_shipped, wide

FORMAT = FileFormat("relrep_exp.relative_space/2", "space", "a relative space")


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
        shrinkage: lambda of Appendix B (0.15 there); `auto`: of each encoder, by how well held-out rows of
            the support find each other between encoders; the paper's where nothing is whitened, an encoder
            is alone or the support has fewer than 100 rows.
        standardise: relative representations, by those of each encoder's own rows: `mean_variance`, `mean`
            or, as in the papers, `none`.
        eps: additive constant of Appendix B; `auto`: 5e-8 of an encoder's mean variance, tr(Sigma)/d.
        seed: draws the support set and whatever the strategy draws.

    Raises:
        ValueError: no strategy or similarity has the name; the message has the nearest, and all there are. Or
            shrinkage, standardise or eps cannot be what they are.
    """

    def __init__(
        self,
        anchors: str | AnchorStrategy | AnchorSet = "param",
        similarity: str | Similarity = "wip",
        *,
        m: int = 300,
        support: int = 5000,
        shrinkage: float | Auto = "auto",
        standardise: Standardise = "mean_variance",
        eps: Eps = EPS,
        seed: int = 0,
    ):
        geometry.check(shrinkage, standardise, eps)
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
        self.shrinkage, self.standardise, self.eps = shrinkage, standardise, eps
        self.choice = Choice(SHRINKAGE if shrinkage == "auto" else shrinkage)
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
    def fit(self, spaces: Mapping[str, Tensor | Space], choice: Choice | None = None) -> Self:
        """Choose the anchors on these encoders and admit them.

        Args:
            spaces: embeddings [N, d_i] of the same N training samples, row by row, for each encoder.
            choice: of the shrinkage, where it was made on more encoders than these.

        Raises:
            ValueError: no encoder, rows that are not parallel, or embeddings without variance.
        """
        held = {name: x if isinstance(x, Space) else Space(x.detach()) for name, x in spaces.items()}
        common_rows(held)
        self.members = {}  # of an earlier fit, over other anchors
        self.choice = choice or self.choose_shrinkage(held)
        if self._strategy is not None:
            self._anchor_set = choose_anchors(
                self._strategy,
                held,
                self.m,
                support=self.support,
                seed=self.seed,
                shrinkage={name: self.choice.of(name) for name in held},
                eps=self.eps,
            )
        for name, space in held.items():
            support = space.x[self.support_ids.to(space.x.device)]
            self._add(name, support, space, self.choice.of(name), voter=self.shrinkage == "auto")
        return self

    def choose_shrinkage(self, spaces: Mapping[str, Space]) -> Choice:
        """Choose the shrinkage of these encoders on the support set, where it is `auto`."""
        if self.shrinkage != "auto":
            return Choice(self.shrinkage)
        rows = common_rows(spaces)
        ids = draw_support(rows, self.support, self.seed) if self._strategy else self.support_ids
        held_out = {name: space.split for name, space in spaces.items()}
        return geometry.choose_on(held_out, ids, self.m, self.seed, self.similarity, self.eps)

    def admit(self, name: str, space: Space) -> Self:
        """Let in an encoder by its embeddings of all N training samples, of which the support is taken."""
        return self.join(name, space.x[self.support_ids.to(space.x.device)], space)

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
        rows = support if metric is None else metric
        measured = rows if isinstance(rows, Space) else Space(cast(Tensor, rows))  # of files, slices are read
        return self._add(name, support, measured, self._joining_shrinkage(name, support, measured))

    def transform(self, x: Tensor, encoder: str) -> Tensor:
        """Compute relative representations RR(x) (Eq. 1). x [N, d] -> [N, m].

        x is cast to the type of the embeddings that the encoder joined with, float32 at least.

        Raises:
            ValueError: the encoder is unknown or x has another dimension.
        """
        member = self._reader(encoder, x)
        return member.project(x.to(member.whitening.matrix.dtype))

    def transform_blocks(self, x: Rows, encoder: str) -> Iterator[Tensor]:
        """Do the same with any number of rows, block after block, [n, m]; memory does not grow with N.

        Blocks are cast as by `transform`: files of float64 are read by a float32 space.

        Args:
            x: a tensor or `FileRows`, [N, d].
            encoder: that made them.

        Raises:
            ValueError: as of `transform`, before the first block.
        """
        member = self._reader(encoder, x[:1])
        like = member.whitening.matrix
        return (member.project(block.to(like)) for _, block in blocks_of(x, like.device))

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
            if member.standard is not None:
                tensors[f"{number}.standard"] = torch.stack([member.standard.mean, member.standard.std])
            if member.support is not None:
                tensors[f"{number}.support"] = member.support
            w = member.whitening
            told = {"condition": w.condition, "rank": w.rank, "count": w.count}
            members.append({"name": name, "shrinkage": member.shrinkage, "whitening": told})
        names = ("m", "support", "shrinkage", "standardise", "eps", "seed")
        settings = {name: getattr(self, name) for name in names}
        settings["common"] = self.choice.common
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
        common = header["settings"].pop("common")
        space = cls(anchors, header["similarity"], **header["settings"])
        for i, member in enumerate(header["members"]):
            whitening = Whitening(tensors[f"{i}.mean"], tensors[f"{i}.matrix"], **member["whitening"])
            standard = Standard(*tensors[f"{i}.standard"]) if f"{i}.standard" in tensors else None
            rest = whitening, member["shrinkage"], standard, tensors.get(f"{i}.support")
            space.members[member["name"]] = Member.of(space.similarity, tensors[f"{i}.anchors"], *rest)
        own = {name: member.shrinkage for name, member in space.members.items() if member.support is not None}
        space.choice = Choice(common, own)
        return space

    def _joining_shrinkage(self, name: str, support: Tensor, metric: Space) -> float:
        """Choose the shrinkage of an encoder that joins beside those that the space was fitted on."""
        if self.shrinkage != "auto" or name in self.choice.own or len(support) != len(self.support_ids):
            return self.choice.of(name)
        voters = [(v.support, v.whitening) for v in self.members.values() if v.support is not None]
        first = int(self.support_ids[0])
        same = metric.x is support or torch.equal(metric.x[first : first + 1], support[:1])
        own = same and metric.metric is None  # whether the metric set has the support in it

        def hold_out(held: Tensor, anchors: Tensor) -> Split:
            return Split.of(metric.moments, support[held], support[anchors], counted=own)

        common = self.choice.common
        return geometry.choose_joining(hold_out, voters, common, self.m, self.seed, self.similarity, self.eps)

    def _add(self, name: str, support: Tensor, metric: Space, shrinkage: float, voter: bool = False) -> Self:
        whitening = metric.whitening(shrinkage, self.eps).to(support.device)
        if support.shape[1:] != whitening.mean.shape:
            raise ValueError(
                f"{name!r}: support has dimension {support.shape[1]}, its metric set {len(whitening.mean)}"
            )
        if self.similarity.prepare == "whitened":
            check_eps(name, support, self.eps)
        anchors, standard = self.anchor_set.mix(support.double()), None
        if self.standardise != "none":
            project = bind(self.similarity, anchors, whitening)
            blocks = (project(block.to(anchors)) for _, block in blocks_of(metric.measured, anchors.device))
            standard = Standard.fit(blocks, self.standardise)
        kept = support if voter else None
        self.members[name] = Member.of(self.similarity, anchors, whitening, shrinkage, standard, kept)
        return self
