"""A shared space in closed form: MAXVAR generalised CCA of the training encoders' support embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor

from relrep_exp.alignment.agreement import Agreement, RidgeMaps, agree
from relrep_exp.alignment.anchors import common_rows
from relrep_exp.alignment.consensus_choice import Auto, Choice, check_settings, choose
from relrep_exp.alignment.features import ConsensusRows, FeatureRows, Features
from relrep_exp.alignment.relative import check_dimension, check_joined
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.whitening import EPS, SHRINKAGE, Moments, folded, united

FOLDS = 5
FORMAT = FileFormat("relrep_exp.consensus/1", "consensus", "a consensus")


@dataclass(frozen=True)
class ConsensusMap:
    """x -> (features(x) - mean) W, into the consensus, whose mean over the support is 0.

    Attributes:
        features: of the encoder.
        mean: of its features over the support, float64, [p].
        matrix: W, float64, [p, m].
    """

    features: Features
    mean: Tensor
    matrix: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x [N, d] -> [N, m], in the dtype of x."""
        return ((self.features(x) - self.mean) @ self.matrix).to(x.dtype)


@dataclass(frozen=True)
class Solution:
    """Of one set of voters.

    Attributes:
        folds: moments of the voters' features in parts of the support.
        moments: in all of it.
        agreement: the voters' directions, all there are.
        choice: how many of them are used, and the ridge.
    """

    folds: list[Moments]
    moments: Moments
    agreement: Agreement
    choice: Choice


class Consensus:
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
        m: dimensions; `auto`: by cross-validation on the support (`consensus_choice`).
        ridge: of the maps, relative to the mean variance of an encoder's features; `auto`: as m.
        features: F, random Fourier features that the maps have beside the whitened embedding; 0: the maps
            are linear.
        shrinkage: lambda of the shrunk covariance (Appendix B).
        eps: its additive constant.
        seed: draws the random features.

    Raises:
        ValueError: m below 1, or a ridge or a number of features below 0.
    """

    def __init__(
        self,
        m: int | Auto = "auto",
        ridge: float | Auto = "auto",
        *,
        features: int = 400,
        shrinkage: float = SHRINKAGE,
        eps: float = EPS,
        seed: int = 0,
    ):
        check_settings(m, ridge, features)
        self.m, self.ridge, self.features = m, ridge, features
        self.shrinkage, self.eps, self.seed = shrinkage, eps, seed
        self.voters: tuple[str, ...] = ()
        self._rows: dict[str, FeatureRows] = {}
        self._maps: dict[str, ConsensusMap] = {}
        self._solution: Solution | None = None

    @property
    def solution(self) -> Solution:
        """Moments, directions, and the m and the ridge in use.

        Raises:
            RuntimeError: before `fit`.
        """
        if self._solution is None:
            raise RuntimeError("the consensus is not fitted: call fit({name: embeddings}) first")
        return self._solution

    @property
    def members(self) -> tuple[str, ...]:
        """The encoders that `transform` knows: voters and those that joined."""
        return tuple(self._maps)

    def fit(self, support: Mapping[str, Tensor]) -> Self:
        """Solve for the consensus of these encoders and map each of them to it.

        Args:
            support: embeddings [K, d_i] of the same K samples, row by row, for each encoder; K >= 4.

        Raises:
            ValueError: no encoder, rows that are not parallel or too few, numbers that are not finite, an
                encoder whose embeddings are all equal, or m above the number of directions.
        """
        _check(support)
        self._rows = {name: self._features(name, x) for name, x in support.items()}
        self.voters = tuple(support)
        self._solve(self._folds())
        return self

    def join(self, name: str, support: Tensor) -> Self:
        """Map one more encoder to the consensus, by its embeddings [K, d] of the support samples.

        Raises:
            RuntimeError: before `fit`.
            ValueError: not K rows, not finite, all equal, or a voter's name.
        """
        count = self.solution.moments.count
        if name in self.voters:
            raise ValueError(f"{name!r} is one of those whose consensus it is: it cannot join again")
        if support.ndim != 2 or len(support) != count or not support.is_floating_point():
            raise ValueError(
                f"{name!r}: give floats [K, d] for the K = {count} samples, not {tuple(support.shape)}"
            )
        self._rows[name] = self._features(name, support)
        self._maps[name] = self._map(name)
        return self

    def leave(self, name: str) -> Self:
        """Take an encoder out. Where it is a voter, the others' consensus takes the place of theirs together.

        Its blocks of the moments are dropped, the eigenproblem is solved again, and all others are mapped
        anew: everything is as if the encoder had never been there.

        Raises:
            ValueError: it is not there, it is the last voter, or the others have fewer than m directions.
        """
        check_joined(name, self._maps)
        if self.voters == (name,):
            raise ValueError(f"{name!r} is the last of those whose consensus it is")
        rows, voters = dict(self._rows), self.voters
        del self._rows[name]
        if name in voters:
            self.voters = tuple(voter for voter in voters if voter != name)
            try:
                self._solve([fold.only(self.voters) for fold in self.solution.folds])
            except ValueError:  # fewer directions than m are left: all stays as it was
                self._rows, self.voters = rows, voters
                raise
        self._maps.pop(name, None)
        return self

    def transform(self, x: Tensor, encoder: str) -> Tensor:
        """x [N, d] of an encoder in the consensus, [N, m].

        Raises:
            ValueError: the encoder is unknown or x has another dimension.
        """
        check_joined(encoder, self._maps)
        found = self._maps[encoder]
        check_dimension(encoder, x, found.features.whitened)
        return found(x)

    def save(self, path: str | Path) -> None:
        """Write everyone's support embeddings and the settings as one safetensors file.

        The embeddings are in it because others can only join, and voters only leave, with them at hand.
        """
        choice = self.solution.choice
        names = ("m", "ridge", "features", "shrinkage", "eps", "seed")
        header = {
            "settings": {name: getattr(self, name) for name in names},
            "choice": [choice.m, choice.ridge, choice.score],
            "members": list(self._maps),
            "voters": list(self.voters),
        }
        FORMAT.write(path, {f"{i}": self._rows[name].x for i, name in enumerate(self._maps)}, header)

    @classmethod
    def load(cls, path: str | Path) -> Consensus:
        """Read what `save` wrote, solve again with the m and the ridge of then; nothing in it is executed.

        Raises:
            ValueError: the file is not a consensus.
        """
        tensors, header = FORMAT.read(path)
        support = {name: tensors[f"{i}"] for i, name in enumerate(header["members"])}
        space = cls(**header["settings"])
        space.voters = tuple(header["voters"])
        space._rows = {name: space._features(name, x) for name, x in support.items()}
        space._solve(space._folds(), Choice(*header["choice"]))
        return space

    def _features(self, name: str, x: Tensor) -> FeatureRows:
        try:
            return FeatureRows(Features.fit(x, self.features, self.shrinkage, self.eps, self.seed), x)
        except ValueError as error:
            raise ValueError(f"{name!r}: {error}") from None

    def _folds(self) -> list[Moments]:
        """Moments of the voters' features in parts of the support."""
        rows = {name: self._rows[name] for name in self.voters}
        return folded(rows, min(FOLDS, common_rows(rows) // 2))

    def _solve(self, folds: list[Moments], choice: Choice | None = None) -> None:
        """The voters' consensus from its moments, and all maps to it; m and ridge as given, or chosen."""
        moments = united(folds)
        whitened = {name: self._rows[name].features.whitened for name in self.voters}
        agreement = agree(moments, whitened)
        found = choice or choose(self.m, self.ridge, folds, agreement, whitened)
        if found.m > agreement.rank:
            raise ValueError(
                f"m = {found.m}: these encoders have {agreement.rank} directions in {moments.count} samples"
            )
        self._solution = Solution(folds, moments, agreement, found)
        self._maps = {name: self._map(name) for name in self._rows}

    def _map(self, name: str) -> ConsensusMap:
        """Ridge regression from an encoder's features to the consensus of the support."""
        rows, solution = self._rows[name], self.solution
        moments, agreement, m = solution.moments, solution.agreement, solution.choice.m
        if name in self.voters:
            own = moments.columns[name]
            mean, covariance = moments.mean[own], moments.covariance(name, name)
            with_voters = moments.scatter[own][:, agreement.columns(moments)] / moments.count
            cross = with_voters @ agreement.stacked()[:, :m]
        else:
            directions = [agreement.directions[voter][:, :m] for voter in self.voters]
            target = ConsensusRows([self._rows[voter] for voter in self.voters], directions)
            both = united(folded({"own": rows, "consensus": target}, 1))
            mean, covariance = both.mean[both.columns["own"]], both.covariance("own", "own")
            cross = both.covariance("own", "consensus")
        return ConsensusMap(rows.features, mean, RidgeMaps(covariance, cross)(solution.choice.ridge))


def _check(support: Mapping[str, Tensor]) -> None:
    """Matrices of floats with the same number of rows, four or more."""
    for name, x in support.items():
        if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point():
            raise ValueError(f"{name!r}: embeddings must be a torch tensor of floats, [K, d]")
    if (rows := common_rows(support)) < 4:
        raise ValueError(f"a consensus needs four parallel samples or more, not {rows}")
