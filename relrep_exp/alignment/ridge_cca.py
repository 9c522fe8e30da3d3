"""Canonical variates of several encoders with a ridge (Vinod 1976; Kettenring 1971), all linear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import ALONE_RIDGE, ALONE_SHARE, FLOOR, Auto, Choice, Features
from relrep_exp.alignment.arrays import Embeddings, common_rows, parallel_of, rows_of
from relrep_exp.alignment.members import check_joined, not_fitted
from relrep_exp.alignment.parameters import check_parameters
from relrep_exp.alignment.reading import Reader, Reading

FOLDS = 3
RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03)


class RidgeCca(Reading):
    """The m directions on which the training encoders agree, as variates of variance 1 of each encoder.

    With Sigma_i + r tr(Sigma_i)/d_i I in the place of every covariance, C holds the leading MAXVAR
    directions of the training encoders, and the variates of any encoder, one that joins later too, are its
    ridge regression on C, each divided by its standard deviation on the support. It is the linear part of
    `consensus.Consensus` with one ridge for whitening and maps.

    Args:
        m: dimensions; `auto`: with the ridge, by leaving out a fold of the support and an encoder.
        ridge: r, relative to the mean variance of an encoder's features.

    Embeddings are what `Reading` says; what comes out has their dtype, float32 at least.

    Raises:
        ValueError: a parameter is out of its range.
    """

    def __init__(self, m: int | Auto = "auto", ridge: float | Auto = "auto"):
        self.m, self.ridge = m, ridge
        check_parameters(self, "RidgeCca")
        self._chosen = Choice(0, 0.0)
        self._consensus = torch.empty(0, 0)  # C [K, m]
        self._maps: dict[str, tuple[Tensor, Tensor]] = {}  # mean [d] and matrix [d, m]

    def fit(self, support: Mapping[str, Embeddings]) -> Self:
        """Find the directions of these encoders.

        Args:
            support: embeddings [K, d_i] of the same K samples, row by row, for each encoder; K >= 4.

        Raises:
            ValueError: rows that are not parallel or too few, numbers that are not finite, an encoder whose
                embeddings are all equal, or m above the number of directions.
        """
        read = parallel_of(support)
        if (rows := common_rows(read)) < 4:
            raise ValueError(f"canonical variates need four parallel samples or more, not {rows}")
        self._chosen = self._choose(read)
        left, values, _ = directions([whitened(x, self._chosen.ridge)(x) for x in read.values()])
        if self._chosen.m > len(values):
            what = f"these encoders have {len(values)} directions in {rows} samples"
            raise ValueError(f"m = {self._chosen.m}: {what}")
        self._consensus = (left * values)[:, : self._chosen.m]
        self._maps = {name: self._map(x) for name, x in read.items()}
        return self

    def join(self, name: str, support: Embeddings) -> Self:
        """Regress the directions on one more encoder, by its embeddings [K, d] of the same samples.

        Raises:
            NotFittedError: before `fit`.
            ValueError: not K rows, not finite, or all equal.
        """
        if not self._maps:
            raise not_fitted("the space")
        rows = rows_of(support, repr(name)).detach().to(self._consensus.device)
        if len(rows) != len(self._consensus):
            raise ValueError(f"{name!r}: give the K = {len(self._consensus)} samples, not {len(rows)}")
        self._maps[name] = self._map(rows)
        return self

    def _reader(self, encoder: str) -> Reader:
        """Find what reads an encoder: mean and matrix to its variates."""
        check_joined(encoder, self._maps)
        mean, matrix = self._maps[encoder]
        return Reader(len(mean), mean.device, lambda x: ((x.double() - mean) @ matrix).to(x.dtype))

    def diagnostics(self) -> dict[str, Any]:
        """Tell its size, the ridge, and the mean squared correlation of held-out samples and encoders."""
        return {"m": self._chosen.m, "ridge": self._chosen.ridge, "score": self._chosen.score}

    def _choose(self, support: Mapping[str, Tensor]) -> Choice:
        """Choose m and ridge: as many directions as possible that are agreed on half as well as the best."""
        ridges = RIDGES if self.ridge == "auto" else (self.ridge,)
        if len(support) == 1:  # nobody can be left out
            ridge = ALONE_RIDGE if self.ridge == "auto" else self.ridge
            shares = directions([whitened(x, ridge)(x) for x in support.values()])[1].square()
            most = int((shares.cumsum(0) < shares.sum() * ALONE_SHARE).sum()) + 1
            return Choice(most if self.m == "auto" else self.m, ridge)
        if self.m != "auto" and len(ridges) == 1:
            return Choice(self.m, ridges[0])
        found = [correlations([whitened(x, ridge)(x) for x in support.values()]) for ridge in ridges]
        shared = min(len(one) for one in found)
        squares = torch.stack([one[:shared] for one in found])
        gains = (squares - FLOOR * squares.max()).cumsum(1)
        start = 0 if self.m == "auto" else min(self.m, shared) - 1
        considered = gains if self.m == "auto" else gains[:, start : start + 1]
        row, column = divmod(int(considered.flatten().argmax()), considered.shape[1])
        size = start + column + 1
        score = float(squares[row, :size].mean())
        return Choice(size if self.m == "auto" else self.m, ridges[row], score)

    def _map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Regress the directions on an encoder's support x [K, d]: mean, and matrix to variates."""
        features = whitened(x, self._chosen.ridge)
        w = features(x)
        matrix = w.T @ self._consensus / len(w)
        return features.mean, features.matrix @ (matrix / (w @ matrix).std(0, correction=0))


def directions(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Decompose whitened embeddings [K, d_i], side by side, into singular vectors and values that count."""
    left, values, right = torch.linalg.svd(torch.cat(list(rows), dim=1), full_matrices=False)
    kept = values > values[0] * max(left.shape[0], right.shape[1]) * torch.finfo(values.dtype).eps
    return left[:, kept], values[kept], right[kept]


def correlations(rows: Sequence[Tensor]) -> Tensor:
    """Square the correlations of left-out encoders with the others' directions, on samples left out of both.

    Args:
        rows: whitened support embeddings of two encoders or more, [K, d_i].

    Returns:
        For each direction, over all folds and encoders, [r].
    """
    found = []
    for fold in range(folds := min(FOLDS, len(rows[0]) // 2)):
        held = torch.arange(len(rows[0]), device=rows[0].device) % folds == fold
        centred = [w - w[~held].mean(0) for w in rows]
        for number, own in enumerate(centred):
            others = [w for other, w in enumerate(centred) if other != number]
            left, values, right = directions([w[~held] for w in others])
            agreed = torch.cat([w[held] for w in others], dim=1) @ right.T
            said = own[held] @ (own[~held].T @ (left * values))  # the ridge is in the whitening
            found.append(torch.stack([agreed.square(), agreed * said, said.square()]).sum(1))
    r = min(one.shape[1] for one in found)
    variance, cross, power = torch.stack([one[:, :r] for one in found]).sum(0)
    squares: Tensor = (cross.clamp_min(0).square() / (variance * power)).nan_to_num(0.0)
    return squares


def whitened(x: Tensor, ridge: float) -> Features:
    """Whiten x [K, d] with its covariance plus a ridge times the mean variance, but for a factor."""
    return Features.fit(x, 0, ridge / (1 + ridge), 0.0, 0)
