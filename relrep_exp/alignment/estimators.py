"""Translations as scikit-learn's transformers: fit on parallel rows of two spaces, transform the first.

from relrep_exp import Translation

to_b = Translation("ortho").fit(x_a[anchors], x_b[anchors])
head_of_b.predict(to_b.transform(x_a_test))
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data
from torch import Tensor

from relrep_exp.alignment.arrays import Array, Embeddings, Rows, given_back, rows_of
from relrep_exp.alignment.inverse import InverseRelativeMap, Pruning, inverse_relative
from relrep_exp.alignment.members import not_fitted
from relrep_exp.alignment.parallel import Preprocessing
from relrep_exp.alignment.parameters import check_parameters
from relrep_exp.alignment.ridge import Ridge
from relrep_exp.alignment.saved import FileFormat
from relrep_exp.alignment.translation import Descent, Kind, TranslationMap, translation

if TYPE_CHECKING:  # scikit-learn has no types, and a base without types would hide every misspelt method

    class _Transformer:
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self: ...
        def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]: ...
        def __sklearn_tags__(self) -> Any: ...

        @overload
        def fit_transform(self, X: Rows, y: Embeddings) -> Tensor: ...
        @overload
        def fit_transform(self, X: ArrayLike, y: Embeddings) -> Array: ...
        def fit_transform(self, X: Embeddings, y: Embeddings) -> Tensor | Array: ...
else:

    class _Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
        pass


class _Pairwise(_Transformer):
    """The part that translations share.

    Rows may be a tensor of any float dtype and device, `FileRows`, a numpy array, a DataFrame or lists. A
    tensor comes out for a tensor, on its device and with its gradient, and for `FileRows`; else an array. The
    dtype is that of what goes in, float32 or float64.

    Attributes:
        map_: the map, with its matrices as tensors on the device of the anchors.
        n_features_in_: d1.
    """

    map_: TranslationMap | InverseRelativeMap
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _format: FileFormat

    def fit(self, X: Embeddings, y: Embeddings) -> Self:
        """Estimate the map on parallel anchors.

        Args:
            X: anchors of the space to leave, [n, d1], n >= 2; more than dimensions is better.
            y: the same samples in the space to reach, [n, d2].

        Raises:
            ValueError: a parameter out of its range, fewer than two anchors, unequal numbers, NaN or infinite
                values, or all anchors equal.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        rows = self._read(X, reset=True).detach()
        target = rows_of(y, "y", column=True).detach()
        self.map_ = self._estimate(rows, target.to(rows.device))
        return self

    @overload
    def transform(self, X: Rows) -> Tensor: ...

    @overload
    def transform(self, X: ArrayLike) -> Array: ...

    def transform(self, X: Embeddings) -> Tensor | Array:
        """Carry the rows of X [N, d1] to the other space, [N, d2].

        Raises:
            NotFittedError: before `fit`.
            ValueError: another number of features, NaN or infinite values.
        """
        self._check_fitted()
        rows = self._read(X, reset=False)
        carried: Tensor | Array = given_back(self.map_(rows.to(self.map_.matrix.device)), X)
        return carried

    def score(self, X: Embeddings, y: Embeddings) -> float:
        """Measure R^2 of the rows of X [N, d1] carried to y [N, d2]: 1 - squared errors / squared deviations.

        Both are sums over all rows and features, so that a feature counts by its variance.

        Raises:
            NotFittedError: before `fit`.
            ValueError: as of `transform`, or rows that are not parallel.
        """
        self._check_fitted()
        target = rows_of(y, "y", column=True).double()
        made = self.map_(self._read(X, reset=False).to(self.map_.matrix.device)).to(target)
        if made.shape != target.shape:
            raise ValueError(f"y has shape {tuple(target.shape)}, X is carried to {tuple(made.shape)}")
        left, whole = (made - target).square().sum(), (target - target.mean(0)).square().sum()
        return float(1 - left / whole) if whole > 0 else float(left == 0)

    @property
    def _n_features_out(self) -> int:
        """d2, by which scikit-learn names what comes out."""
        return self.map_.matrix.shape[1]

    def diagnostics(self) -> dict[str, Any]:
        """Tell the number of anchors, rank, condition number, constant features.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return self.map_.diagnostics()

    def save(self, path: str | Path) -> None:
        """Write the map and the parameters as one safetensors file.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        names = getattr(self, "feature_names_in_", None)
        header = {
            "parameters": self.get_params(),
            "told": self.map_.told,
            "features": None if names is None else [str(name) for name in names],
        }
        self._format.write(path, self.map_.tensors(), header)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            ValueError: the file is not one.
        """
        tensors, header = cls._format.read(path)
        made = cls(**header["parameters"])
        made.map_ = cls._map_of(tensors, header["told"])
        made.n_features_in_ = len(made.map_.matrix)
        if header["features"] is not None:
            made.feature_names_in_ = np.array(header["features"], dtype=object)
        return made

    def _check_fitted(self) -> None:
        if not hasattr(self, "map_"):
            raise not_fitted(f"this {type(self).__name__}", "X, y")

    def _read(self, X: Embeddings, reset: bool) -> Tensor:
        """Read rows, and keep or compare how many features there are, and their names."""
        rows = rows_of(X, "X")
        if not len(rows):
            raise ValueError(f"X: 0 sample(s) (shape={tuple(rows.shape)}) while a minimum of 1 is required.")
        named = X if hasattr(X, "iloc") else rows
        validate_data(self, named, skip_check_array=True, reset=reset)
        return rows

    @abstractmethod
    def _estimate(self, x: Tensor, y: Tensor) -> TranslationMap | InverseRelativeMap:
        """Estimate the map on these anchors."""

    @classmethod
    @abstractmethod
    def _map_of(cls, tensors: dict[str, Tensor], told: dict[str, Any]) -> TranslationMap | InverseRelativeMap:
        """Make the map again of what a file holds."""

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
    _format = FileFormat("relrep_exp.translation/1", "translation", "a translation")

    def __init__(
        self,
        kind: Kind = "ortho",
        *,
        scaling: Preprocessing = "standard",
        ridge: Ridge = 0.0,
        solver: Literal["closed", "gradient"] = "closed",
        steps: int = 300,
        lr: float = 1e-3,
    ):
        self.kind, self.scaling, self.ridge = kind, scaling, ridge
        self.solver, self.steps, self.lr = solver, steps, lr

    @overload
    def inverse_transform(self, X: Rows) -> Tensor: ...

    @overload
    def inverse_transform(self, X: ArrayLike) -> Array: ...

    def inverse_transform(self, X: Embeddings) -> Tensor | Array:
        """Go the way back, rows [N, d2] -> [N, d1]: the transposed matrix of l_ortho, ortho and
        parseval, else the pseudo-inverse. What the map lost (dimensions, directions without anchors, norms
        with l2) stays lost.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X has another number of features than the space that `transform` reaches.
        """  # noqa: D205  # the first sentence needs two lines
        self._check_fitted()
        rows, d = rows_of(X, "X"), self.map_.matrix.shape[1]
        if rows.shape[1] != d:
            raise ValueError(f"X has {rows.shape[1]} features, the space that was reached has {d}")
        carried: Tensor | Array = given_back(self.map_.inverse()(rows.to(self.map_.matrix.device)), X)
        return carried

    def _estimate(self, x: Tensor, y: Tensor) -> TranslationMap:
        check_parameters(self, "Translation")
        descent = Descent(self.steps, self.lr) if self.solver == "gradient" else None
        return translation(self.kind, x, y, self.scaling, self.ridge, descent)

    @classmethod
    def _map_of(cls, tensors: dict[str, Tensor], told: dict[str, Any]) -> TranslationMap:
        return TranslationMap.of(tensors, told)


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
    _format = FileFormat("relrep_exp.inverse_relative/1", "translation", "an inverse relative projection")

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
        check_parameters(self, "InverseRelative")
        pruning = Pruning(self.delta, self.subspaces, self.seed)
        return inverse_relative(x, y, self.scaling, self.ridge, pruning)

    @classmethod
    def _map_of(cls, tensors: dict[str, Tensor], told: dict[str, Any]) -> InverseRelativeMap:
        return InverseRelativeMap.of(tensors, told)
