"""The relative space: anchors shared by all encoders, a similarity, and each encoder's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from relrep_exp.alignment import geometry
from relrep_exp.alignment.anchors import (
    AnchorSet,
    AnchorStrategy,
    Space,
    choose_anchors,
    draw_support,
    get_anchor_strategy,
)
from relrep_exp.alignment.arrays import Embeddings, check_mapping, common_rows, parallel_of, rows_of
from relrep_exp.alignment.geometry import Auto, Choice, Split
from relrep_exp.alignment.members import Member, check_joined, not_fitted
from relrep_exp.alignment.parameters import check_callable, check_parameters
from relrep_exp.alignment.reading import Reader, Reading
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.scale import check_eps
from relrep_exp.alignment.similarity import Similarity, bind, get_similarity
from relrep_exp.alignment.standard import Standard, Standardise
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Eps, Whitening, blocks_of
from relrep_exp.training.numbers import as_shipped

FORMAT = FileFormat("relrep_exp.relative_space/2", "space", "a relative space")


class RelativeSpace(Reading):
    """Relative representations of any number of encoders over shared anchors (Eq. 1, 2 and 4).

    Example:
        space = RelativeSpace(anchors="param", similarity="wip", m=64).fit({"a": x_a, "b": x_b})
        space.join("c", x_c[space.support_ids], metric=x_c)
        relative = space.transform(x_c_test, encoder="c")      # [N, 64]

    Embeddings are what `Reading` says, or a `Space`; representations have the type that embeddings had when
    the encoder joined, float32 at least.

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
        ValueError: no strategy or similarity has the name; the message has the nearest, and all there are.
            Or a parameter is out of its range.
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
        check_parameters(self, "RelativeSpace")
        check_callable(anchors=self._strategy or AnchorSet, similarity=self.similarity)
        self.choice = Choice(SHRINKAGE if shrinkage == "auto" else shrinkage)
        self.members: dict[str, Member] = {}

    @property
    def anchor_set(self) -> AnchorSet:
        """Support ids and P.

        Raises:
            NotFittedError: before `fit`.
        """
        if self._anchor_set is None:
            raise not_fitted("the space")
        return self._anchor_set

    @property
    def support_ids(self) -> Tensor:
        """Row numbers [K] of the parallel samples whose embeddings a joining encoder must give."""
        return self.anchor_set.ids

    @as_shipped()
    def fit(self, spaces: Mapping[str, Embeddings | Space], choice: Choice | None = None) -> Self:
        """Choose the anchors on these encoders and admit them.

        Args:
            spaces: embeddings [N, d_i] of the same N training samples, row by row, for each encoder.
            choice: of the shrinkage, where it was made on more encoders than these.

        Raises:
            ValueError: no encoder, rows that are not parallel, or embeddings without variance.
        """
        held = spaces_of(spaces)
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
    def join(self, name: str, support: Embeddings, metric: Embeddings | Space | None = None) -> Self:
        """Let in an encoder that the anchors were not chosen on.

        Args:
            name: what `transform` will call it.
            support: its embeddings of the samples `support_ids`, in that order, [K, d].
            metric: its own unlabelled embeddings for mean and covariance, [N, d]; of `FileRows` slices are
                read. The support by default.

        Raises:
            NotFittedError: before `fit`.
            ValueError: not K rows, not finite, all equal, or two dimensions.
        """
        rows = rows_of(support, repr(name)).detach()
        measured = metric if isinstance(metric, Space) else Space(rows if metric is None else metric)
        return self._add(name, rows, measured, self._joining_shrinkage(name, rows, measured))

    def _reader(self, encoder: str) -> Reader:
        """Find what reads an encoder: its member."""
        check_joined(encoder, self.members)
        member = self.members[encoder]
        like = member.whitening.matrix
        return Reader(len(like), like.device, lambda x: member.project(x.to(like.dtype)))

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


def spaces_of(spaces: Mapping[str, Embeddings | Space]) -> dict[str, Space]:
    """Read embeddings of encoders, [N, d_i], all on the device of the first; a `Space` is one already.

    Raises:
        ValueError: not a mapping, or not embeddings.
    """
    check_mapping(spaces)
    read = parallel_of({name: x for name, x in spaces.items() if not isinstance(x, Space)})
    return {name: x if isinstance(x, Space) else Space(read[name]) for name, x in spaces.items()}
