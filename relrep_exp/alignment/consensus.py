"""A shared space in closed form: MAXVAR generalised CCA of the training encoders' support embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from relrep_exp.alignment import agreement, geometry
from relrep_exp.alignment.agreement import Auto, Choice, Features, MadeRows, Solution, ridge_maps
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.arrays import Embeddings, common_rows, parallel_of, rows_of
from relrep_exp.alignment.members import check_joined, not_fitted
from relrep_exp.alignment.parameters import check_parameters
from relrep_exp.alignment.reading import Reader, Reading
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.similarity import SIMILARITIES
from relrep_exp.alignment.standard import Standardise
from relrep_exp.alignment.whitening import EPS, Eps, Moments, folded, united
from relrep_exp.training.numbers import as_shipped

FOLDS = 5
ANCHORS = 300  # support rows at most that held-out ones are compared with, where the shrinkage is chosen
FORMAT = FileFormat("relrep_exp.consensus/2", "consensus", "a consensus")


class Consensus(Reading):
    """The leading m directions on which encoders agree, and every encoder's ridge map to them.

    The encoders of `fit` are voters: the consensus is theirs. One that joins later is mapped to it and
    changes nothing. Of the rows only means and covariances are kept, of a size that does not depend on K;
    the support embeddings themselves are referred to, not copied, and read in blocks, so they may be
    memory-mapped.

    Example:
        space = Consensus().fit({"a": x_a, "b": x_b})          # the same K samples, row by row
        space.join("c", x_c)                                   # the same samples again
        shared = space.transform(x_c_test, encoder="c")        # [N, m]

    Args:
        m: dimensions; `auto`: by cross-validation on the support (`agreement.choose`).
        ridge: of the maps, relative to the mean variance of an encoder's features; `auto`: as m.
        features: F, random Fourier features that the maps have beside the whitened embedding; 0: the maps
            are linear.
        shrinkage: lambda of the shrunk covariance (Appendix B), one for all encoders; `auto`: by how well
            held-out rows of the support find each other between the voters by WIP; the paper's, .15, where
            one encoder votes or the support has fewer than 100 rows.
        standardise: `mean_variance`: every dimension has a variance of 1 over each encoder's support; `mean`
            is `none`, as its mean is 0 there anyway.
        eps: additive constant of Appendix B; `auto`: 5e-8 of the mean variance.
        seed: draws the random features, and the rows held out.

    Embeddings are what `Reading` says; what comes out has their dtype, float32 at least, and the support's
    mean is 0, its variance 1 where it is standardised.

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self,
        m: int | Auto = "auto",
        ridge: float | Auto = "auto",
        *,
        features: int = 400,
        shrinkage: float | Auto = "auto",
        standardise: Standardise = "mean_variance",
        eps: Eps = EPS,
        seed: int = 0,
    ):
        self.m, self.ridge, self.features = m, ridge, features
        self.shrinkage, self.standardise, self.eps, self.seed = shrinkage, standardise, eps, seed
        check_parameters(self, "Consensus")
        self._shrinkage = 0.0  # the one in use
        self.voters: tuple[str, ...] = ()
        self._encoders: dict[str, tuple[Features, Tensor]] = {}  # with its support embeddings
        self._maps: dict[str, tuple[Tensor, Tensor]] = {}  # mean [p] and W [p, m] of its features
        self._solution: Solution | None = None

    @property
    def solution(self) -> Solution:
        """Moments, directions, and the m and the ridge in use.

        Raises:
            NotFittedError: before `fit`.
        """
        if self._solution is None:
            raise not_fitted("the consensus")
        return self._solution

    @property
    def members(self) -> tuple[str, ...]:
        """The encoders that `transform` knows: voters and those that joined."""
        return tuple(self._maps)

    @as_shipped()
    def fit(self, support: Mapping[str, Embeddings]) -> Self:
        """Solve for the consensus of these encoders and map each of them to it.

        Args:
            support: embeddings [K, d_i] of the same K samples, row by row, for each encoder; K >= 4.

        Raises:
            ValueError: no encoder, rows that are not parallel or too few, numbers that are not finite, an
                encoder whose embeddings are all equal, or m above the number of directions.
        """
        read = parallel_of(support)
        if (rows := common_rows(read)) < 4:
            raise ValueError(f"a consensus needs four parallel samples or more, not {rows}")
        self._shrinkage = self._choose_shrinkage(read)
        self._encoders = {name: (self._features(name, x), x) for name, x in read.items()}
        self.voters = tuple(read)
        self._solve(self._folds())
        return self

    @as_shipped()
    def join(self, name: str, support: Embeddings) -> Self:
        """Map one more encoder to the consensus, by its embeddings [K, d] of the support samples.

        Raises:
            NotFittedError: before `fit`.
            ValueError: not K rows, not finite, all equal, or a voter's name.
        """
        count = self.solution.moments.count
        if name in self.voters:
            raise ValueError(f"{name!r} is one of those whose consensus it is: it cannot join again")
        rows = rows_of(support, repr(name)).detach().to(self._encoders[self.voters[0]][1].device)
        if len(rows) != count:
            raise ValueError(f"{name!r}: give [K, d] of the K = {count} samples, not {tuple(rows.shape)}")
        self._encoders[name] = self._features(name, rows), rows
        self._maps[name] = self._map(name)
        return self

    @as_shipped()
    def leave(self, name: str) -> Self:
        """Take an encoder out. Where it is a voter, the others' consensus takes the place of theirs together.

        Its blocks of the moments are dropped, the eigenproblem is solved again, and all others are mapped
        anew: everything is as if the encoder had never been there. But a shrinkage that was chosen stays.

        Raises:
            ValueError: it is not there, it is the last voter, or the others have fewer than m directions.
        """
        check_joined(name, self._maps)
        if self.voters == (name,):
            raise ValueError(f"{name!r} is the last of those whose consensus it is")
        encoders, voters = self._encoders, self.voters
        self._encoders = {other: held for other, held in encoders.items() if other != name}
        if name in voters:
            self.voters = tuple(voter for voter in voters if voter != name)
            try:
                self._solve([fold.only(self.voters) for fold in self.solution.folds])
            except ValueError:  # fewer directions than m are left: all stays as it was
                self._encoders, self.voters = encoders, voters
                raise
        self._maps.pop(name, None)
        return self

    def _reader(self, encoder: str) -> Reader:
        """Find what reads an encoder: its features and its map."""
        check_joined(encoder, self._maps)
        features, (mean, matrix) = self._encoders[encoder][0], self._maps[encoder]
        project = lambda x: ((features(x) - mean) @ matrix).to(x.dtype)  # noqa: E731
        return Reader(len(features.mean), mean.device, project)

    def diagnostics(self) -> dict[str, Any]:
        """Tell its size, what was chosen with which held-out R^2, how far each dimension is agreed on."""
        found = self.solution
        return {
            "m": found.choice.m,
            "ridge": found.choice.ridge,
            "shrinkage": self._shrinkage,
            "score": found.choice.score,
            "eigenvalues": [round(value, 4) for value in found.agreement.values[: found.choice.m].tolist()],
        }

    def save(self, path: str | Path) -> None:
        """Write everyone's support embeddings and the settings as one safetensors file.

        The embeddings are in it because others can only join, and voters only leave, with them at hand.
        """
        choice = self.solution.choice
        names = ("m", "ridge", "features", "shrinkage", "standardise", "eps", "seed")
        header = {
            "settings": {name: getattr(self, name) for name in names},
            "choice": [choice.m, choice.ridge, choice.score],
            "shrinkage": self._shrinkage,
            "members": list(self._maps),
            "voters": list(self.voters),
        }
        FORMAT.write(path, {f"{i}": self._encoders[name][1] for i, name in enumerate(self._maps)}, header)

    @classmethod
    @as_shipped()
    def load(cls, path: str | Path) -> Consensus:
        """Read what `save` wrote, solve again with what was chosen then; nothing in it is executed.

        Raises:
            ValueError: the file is not a consensus.
        """
        tensors, header = FORMAT.read(path)
        support = {name: tensors[f"{i}"] for i, name in enumerate(header["members"])}
        space = cls(**header["settings"])
        space.voters, space._shrinkage = tuple(header["voters"]), header["shrinkage"]
        space._encoders = {name: (space._features(name, x), x) for name, x in support.items()}
        space._solve(space._folds(), Choice(*header["choice"]))
        return space

    def _choose_shrinkage(self, support: Mapping[str, Tensor]) -> float:
        """Choose it by retrieval, far cheaper than by a consensus for each; one for all does as well."""
        if self.shrinkage != "auto":
            return self.shrinkage
        held_out = {name: Space(x).split for name, x in support.items()}
        ids, wip = torch.arange(common_rows(support)), SIMILARITIES["wip"]
        return geometry.choose_on(held_out, ids, ANCHORS, self.seed, wip, self.eps, rounds=0).common

    def _features(self, name: str, x: Tensor) -> Features:
        try:
            return Features.fit(x, self.features, self._shrinkage, self.eps, self.seed)
        except ValueError as error:
            raise ValueError(f"{name!r}: {error}") from None

    def _rows(self, name: str) -> MadeRows:
        features, x = self._encoders[name]
        return MadeRows(len(x), lambda rows: features(x[rows]))

    def _folds(self) -> list[Moments]:
        """Gather moments of the voters' features in parts of the support."""
        rows = {name: self._rows(name) for name in self.voters}
        return folded(rows, min(FOLDS, common_rows(rows) // 2))

    def _solve(self, folds: list[Moments], choice: Choice | None = None) -> None:
        """Solve for the voters' consensus and all maps to it; m and ridge as given, or chosen."""
        moments = united(folds)
        whitened = {name: len(self._encoders[name][0].mean) for name in self.voters}
        agreed = agreement.agree(moments, whitened)
        found = choice or agreement.choose(self.m, self.ridge, folds, agreed, whitened)
        if found.m > (rank := len(agreed.values)):
            raise ValueError(
                f"m = {found.m}: these encoders have {rank} directions in {moments.count} samples"
            )
        self._solution = Solution(folds, moments, agreed, found)
        self._maps = {name: self._map(name) for name in self._encoders}

    def _map(self, name: str) -> tuple[Tensor, Tensor]:
        """Regress the consensus of the support on an encoder's features, with a ridge: mean and W.

        W is standardised over the support, as nothing else is known of an encoder here. A run has all of its
        unlabelled rows, and standardises by those (`StandardisedAligner`).
        """
        solution = self.solution
        moments, directions = solution.moments, solution.agreement.directions[:, : solution.choice.m]
        if name in self.voters:
            own, voters = moments.columns[name], solution.agreement.columns
            mean, covariance = moments.mean[own], moments.covariance(name, name)
            cross = moments.scatter[own][:, voters] / moments.count @ directions
        else:
            voting = [self._encoders[voter] for voter in self.voters]
            parts = directions.split([len(features.mean) for features, _ in voting])

            def consensus(rows: slice) -> Tensor:
                pairs = zip(voting, parts, strict=True)
                return torch.stack([features.whiten(x[rows]) @ h for (features, x), h in pairs]).sum(0)

            both = {"own": self._rows(name), "consensus": MadeRows(moments.count, consensus)}
            seen = united(folded(both, 1))
            mean, covariance = seen.mean[seen.columns["own"]], seen.covariance("own", "own")
            cross = seen.covariance("own", "consensus")
        [matrix] = ridge_maps(covariance, cross, [solution.choice.ridge])
        if self.standardise == "mean_variance":
            spread = (matrix * (covariance @ matrix)).sum(0).clamp_min(0).sqrt()
            constant = spread <= len(spread) * torch.finfo(spread.dtype).eps * spread.max()
            unbiased = spread * (moments.count / (moments.count - 1)) ** 0.5
            matrix = matrix / torch.where(constant, 1.0, unbiased)
        return mean, matrix
