"""Translations as scikit-learn's transformers: fit on parallel rows of two spaces, transform the first.

from relrep_exp import Translation

to_b = Translation("ortho").fit(x_a[anchors], x_b[anchors])
head_of_b.predict(to_b.transform(x_a_test))
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from relrep_exp.alignment.inverse import InverseRelativeMap, Pruning, inverse_relative
from relrep_exp.alignment.parallel import Preprocessing
from relrep_exp.alignment.ridge import Ridge
from relrep_exp.alignment.translation import Descent, Kind, TranslationMap, translation
from relrep_exp.training.numbers import wide

Array = NDArray[np.floating[Any]]
FLOATS = (np.float64, np.float32)


class _Pairwise(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """The part that translations share. Arrays come out in the dtype that goes in, float32 or float64.

    Half precision is read as wider, tensors as arrays.

    Attributes:
        map_: the map, with its matrices as tensors.
        n_features_in_: d1.
    """

    map_: TranslationMap | InverseRelativeMap

    def fit(self, X: ArrayLike, Y: ArrayLike) -> Self:
        """Estimate the map on parallel anchors.

        Args:
            X: anchors of the space to leave, [n, d1], n >= 2; more than dimensions is better.
            Y: the same samples in the space to reach, [n, d2].

        Raises:
            ValueError: fewer than two anchors, unequal numbers, NaN or infinite values, or all anchors equal.
        """
        if Y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        x: Array = validate_data(self, _read(X), dtype=FLOATS, ensure_min_samples=2)
        y: Array = check_array(_read(Y), dtype=FLOATS, ensure_2d=False, input_name="Y")
        self.map_ = self._estimate(_tensor(x), _tensor(y.reshape(len(y), -1)))
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Carry the rows of X [N, d1] to the other space, [N, d2].

        Raises:
            NotFittedError: before `fit`.
            ValueError: another number of features, NaN or infinite values.
        """
        check_is_fitted(self)
        x: Array = validate_data(self, _read(X), dtype=FLOATS, reset=False)
        return _array(self.map_(_tensor(x)))

    @property
    def _n_features_out(self) -> int:
        """d2, by which scikit-learn names what comes out."""
        return self.map_.matrix.shape[1]

    def diagnostics(self) -> dict[str, Any]:
        """Tell the number of anchors, rank, condition number, constant features.

        Raises:
            NotFittedError: before `fit`.
        """
        check_is_fitted(self)
        return self.map_.diagnostics()

    @abstractmethod
    def _estimate(self, x: Tensor, y: Tensor) -> TranslationMap | InverseRelativeMap:
        """Estimate the map on these anchors."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Translation(_Pairwise):
    """Latent translation (arXiv:2311.00664), `affine`, `linear`, `l_ortho`, `ortho`; `parseval` frames.

    Args:
        kind: what the map may be.
        scaling: of both spaces, by the anchors' statistics: `standard`, `center`, `l2` or `none`.
        ridge: of all but `ortho` and `parseval`: added to the squared singular values, as a share of their
            mean; `auto`: chosen by leaving out one anchor after the other.
        solver: of `affine`: `closed`, or `gradient`, full-batch Adam as in the paper.
        steps: of gradient descent.
        lr: of Adam.
    """

    map_: TranslationMap

    def __init__(
        self,
        kind: Kind = "ortho",
        *,
        scaling: Preprocessing = "standard",
        ridge: Ridge = 0.0,
        solver: str = "closed",
        steps: int = 300,
        lr: float = 1e-3,
    ):
        self.kind, self.scaling, self.ridge = kind, scaling, ridge
        self.solver, self.steps, self.lr = solver, steps, lr

    def inverse_transform(self, Y: ArrayLike) -> Array:
        """Go the way back, rows of Y [N, d2] -> [N, d1]: the transposed matrix of l_ortho, ortho and
        parseval, else the pseudo-inverse. What the map lost (dimensions, directions without anchors, norms
        with l2) stays lost.

        Raises:
            NotFittedError: before `fit`.
            ValueError: Y has another number of features than the space that `transform` reaches.
        """  # noqa: D205  # the first sentence needs two lines
        check_is_fitted(self)
        y: Array = check_array(_read(Y), dtype=FLOATS, input_name="Y")
        d = self.map_.matrix.shape[1]
        if y.shape[1] != d:
            raise ValueError(f"Y has {y.shape[1]} features, the space that is left has {d}")
        return _array(self.map_.inverse()(_tensor(y)))

    def _estimate(self, x: Tensor, y: Tensor) -> TranslationMap:
        if self.solver not in ("closed", "gradient"):
            raise ValueError(f"solver={self.solver!r}: use 'closed' or 'gradient'")
        descent = Descent(self.steps, self.lr) if self.solver == "gradient" else None
        return translation(self.kind, x, y, self.scaling, self.ridge, descent)


class InverseRelative(_Pairwise):
    """Inverse relative projection (arXiv:2406.15057): cosines to anchors here, inverted in the anchors there.

    Norms are lost: everything comes out as far from the centre as the anchors are on average.

    Args:
        scaling: before norms are taken away, by the anchors' statistics: `center`, `standard`, `l2`, `none`.
        ridge: of the pseudo-inverse, added to the squared singular values, as a share of their mean. Where
            spaces are not rotations of each other, .1 to 1 is much better than 0, and `auto` chooses by
            leaving out one anchor after the other.
        delta: the paper's way instead: of anchors that are inverted together no two are nearer to each other
            than this, by 1 - |cosine|; 0 inverts all.
        subspaces: so many sets of such anchors, whose results are averaged; no matter where delta is 0.
        seed: draws the first anchor of each.
    """

    map_: InverseRelativeMap

    def __init__(
        self,
        *,
        scaling: Preprocessing = "center",
        ridge: Ridge = 0.0,
        delta: float = 0.0,
        subspaces: int = 1,
        seed: int = 0,
    ):
        self.scaling, self.ridge = scaling, ridge
        self.delta, self.subspaces, self.seed = delta, subspaces, seed

    def _estimate(self, x: Tensor, y: Tensor) -> InverseRelativeMap:
        if not 0 <= self.delta <= 1 or self.subspaces < 1:
            raise ValueError(f"delta={self.delta}, subspaces={self.subspaces}: in [0, 1], and 1 or more")
        pruning = Pruning(self.delta, self.subspaces, self.seed)
        return inverse_relative(x, y, self.scaling, self.ridge, pruning)


def _read(x: Any) -> Any:
    """Make an array of a tensor, of which numpy knows no bfloat16; leave all else to scikit-learn."""
    return wide(x.detach()).numpy(force=True) if isinstance(x, Tensor) else x


def _tensor(x: Array) -> Tensor:
    return torch.from_numpy(np.require(x, requirements=["C", "W"]))


def _array(x: Tensor) -> Array:
    found: Array = x.numpy()
    return found
