"""Canonical variates of several encoders with a ridge (Vinod 1976; Kettenring 1971), all linear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import (
    ALONE_RIDGE,
    FLOOR,
    Agreement,
    Auto,
    Choice,
    Features,
    agree,
    choose,
    held_out,
)
from relrep_exp.alignment.anchors import common_rows
from relrep_exp.alignment.relative import check_dimension, check_joined
from relrep_exp.alignment.whitening import Moments, folded, united

FOLDS = 5
RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
ALL_RIDGE = (1e8,)  # of a map from whitened coordinates, which have the ridge in them: it is w^T C then


class RidgeCca:
    """The m directions on which the training encoders agree, as variates of variance 1 of each encoder.

    With Sigma_i + r tr(Sigma_i)/d_i I in the place of every covariance, C holds the leading MAXVAR
    directions of the training encoders, and the variates of any encoder, one that joins later too, are its
    ridge regression on C, each divided by its standard deviation on the support. It is the linear part of
    `consensus.Consensus` with one ridge for whitening and maps.

    Args:
        m: dimensions; `auto`: with the ridge, by leaving out a fold of the support and an encoder.
        ridge: r, relative to the mean variance of an encoder's features.

    Raises:
        ValueError: m below 1, or a ridge of 0 or below.
    """

    def __init__(self, m: int | Auto = "auto", ridge: float | Auto = "auto"):
        if (m != "auto" and (not isinstance(m, int) or m < 1)) or (
            ridge != "auto" and (isinstance(ridge, str) or not ridge > 0)
        ):
            raise ValueError(f"m={m!r}, ridge={ridge!r}: use an m from 1 on and a ridge above 0, or 'auto'")
        self.m, self.ridge = m, ridge
        self._chosen = Choice(0, 0.0)
        self._consensus = torch.empty(0, 0)  # C [K, m]
        self._maps: dict[str, tuple[Tensor, Tensor]] = {}  # mean [d] and matrix [d, m]

    def fit(self, support: Mapping[str, Tensor]) -> Self:
        """Find the directions of these encoders.

        Args:
            support: embeddings [K, d_i] of the same K samples, row by row, for each encoder; K >= 4.

        Raises:
            ValueError: rows that are not parallel or too few, numbers that are not finite, an encoder whose
                embeddings are all equal, or m above the number of directions.
        """
        if (rows := common_rows(support)) < 4:
            raise ValueError(f"canonical variates need four parallel samples or more, not {rows}")
        self._chosen = self._choose(support)
        solution = _Solution(support, self._chosen.ridge)
        if self._chosen.m > (most := len(solution.agreement.values)):
            raise ValueError(f"m = {self._chosen.m}: these encoders have {most} directions in {rows} samples")
        stacked = torch.cat([solution.features[name](x) for name, x in support.items()], dim=1)
        self._consensus = stacked @ solution.agreement.directions[:, : self._chosen.m]
        self._maps = {name: self._map(x) for name, x in support.items()}
        return self

    def join(self, name: str, support: Tensor) -> Self:
        """Regress the directions on one more encoder, by its embeddings [K, d] of the same samples.

        Raises:
            ValueError: not K rows, not finite, or all equal.
        """
        if len(support) != len(self._consensus):
            raise ValueError(f"{name!r}: give the K = {len(self._consensus)} samples, not {len(support)}")
        self._maps[name] = self._map(support)
        return self

    def transform(self, x: Tensor, encoder: str) -> Tensor:
        """Give the canonical variates of x [N, d], [N, m], in the dtype of x.

        Raises:
            ValueError: the encoder is unknown or x has another dimension.
        """
        check_joined(encoder, self._maps)
        mean, matrix = self._maps[encoder]
        check_dimension(encoder, x, len(mean))
        return ((x.double() - mean) @ matrix).to(x.dtype)

    def diagnostics(self) -> dict[str, Any]:
        """Tell its size, the ridge, and the mean squared correlation of held-out samples and encoders."""
        return {"m": self._chosen.m, "ridge": self._chosen.ridge, "score": self._chosen.score}

    def _choose(self, support: Mapping[str, Tensor]) -> Choice:
        """Choose m and ridge: as many directions as possible that are agreed on half as well as the best."""
        ridges = RIDGES if self.ridge == "auto" else (self.ridge,)
        if len(support) == 1:  # nobody can be left out
            alone = _Solution(support, ALONE_RIDGE if self.ridge == "auto" else self.ridge)
            return choose(self.m, alone.ridge, alone.folds, alone.agreement, alone.dims)
        if self.m != "auto" and len(ridges) == 1:
            return Choice(self.m, ridges[0])
        found = [_Solution(support, ridge).correlations() for ridge in ridges]
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


class _Solution:
    """The directions of some encoders for one ridge."""

    def __init__(self, support: Mapping[str, Tensor], ridge: float):
        self.ridge = ridge
        self.features = {name: whitened(x, ridge) for name, x in support.items()}
        self.dims = {name: len(one.mean) for name, one in self.features.items()}
        rows = {name: self.features[name](x) for name, x in support.items()}
        self.folds: list[Moments] = folded(rows, min(FOLDS, common_rows(rows) // 2))
        self.agreement: Agreement = agree(united(self.folds), self.dims)

    def correlations(self) -> Tensor:
        """Square the correlations of held-out encoders with the others' directions, on held-out samples."""
        variance, cross, power = held_out(self.folds, self.dims, ALL_RIDGE)
        return (cross[0].clamp_min(0).square() / (variance * power[0])).nan_to_num(0.0)


def whitened(x: Tensor, ridge: float) -> Features:
    """Whiten x [K, d] with its covariance plus a ridge times the mean variance, but for a factor."""
    return Features.fit(x, 0, ridge / (1 + ridge), 0.0, 0)
