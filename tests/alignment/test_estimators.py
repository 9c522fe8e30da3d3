"""Translation and InverseRelative as scikit-learn's transformers; its own checks of them."""

from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from relrep_exp import InverseRelative, Translation
from relrep_exp.alignment.inverse import inverse_relative
from relrep_exp.alignment.translation import Descent, translation

ESTIMATORS = [Translation(), Translation("affine", solver="gradient", steps=3), InverseRelative(ridge=0.1)]


def views():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 5))
    return x, x @ rng.normal(size=(5, 7)) + 0.1 * rng.normal(size=(50, 7))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_scikit_learns_own_checks(estimator):
    """All that it has for a transformer with a target; it leaves out array-API input where that is off."""
    left_out = []
    for made, check in estimator_checks_generator(estimator):
        try:
            check(made)
        except SkipTest as reason:
            left_out.append(str(reason))
    assert all("SCIPY_ARRAY_API" in reason for reason in left_out)


def test_they_are_the_maps_of_the_aligners():
    x, y = views()
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    moved = Translation("affine", scaling="l2", ridge=0.1, solver="gradient", steps=9, lr=0.1).fit(x, y)
    wanted = translation("affine", a, b, "l2", 0.1, Descent(9, 0.1))(a)
    assert np.array_equal(moved.transform(x), wanted.numpy())
    inverted = InverseRelative(scaling="standard", ridge=0.2).fit(x, y)
    assert np.array_equal(inverted.transform(x), inverse_relative(a, b, "standard", 0.2)(a).numpy())
    assert inverted.diagnostics()["rank"] == 7 and moved.n_features_in_ == 5
    assert np.array_equal(moved.transform(a), moved.transform(x))  # tensors are arrays, too


def test_the_way_back():
    x, y = views()
    made = Translation("ortho").fit(x, y)
    assert np.allclose(made.inverse_transform(made.transform(x)), x)
    with pytest.raises(ValueError, match="X has 5 features"):
        made.inverse_transform(x)


def test_pipelines_clones_and_float32():
    x, y = views()
    made = make_pipeline(StandardScaler(), clone(Translation("linear", ridge=0.1))).fit(x, y)
    assert made.transform(x).shape == (50, 7) and made[-1].get_params()["ridge"] == 0.1
    named = made.set_output(transform="pandas").transform(x)
    assert list(named.columns) == [f"translation{i}" for i in range(7)]
    assert (
        Translation().fit(x.astype("float32"), y.astype("float32")).transform(x.astype("float32")).dtype
        == "float32"
    )


@pytest.mark.parametrize("estimator", [Translation(), InverseRelative()], ids=str)
def test_misuse_is_told(estimator):
    x, y = views()
    with pytest.raises(NotFittedError):
        estimator.transform(x)
    for bad_x, bad_y, said in (
        (x[:1], y[:1], "at least two anchors"),
        (x, y[:9], "50 rows in one space, 9 in the other"),
        (x, y * np.nan, "NaN"),
        (x, np.ones_like(y), "equal"),
    ):
        with pytest.raises(ValueError, match=said):
            clone(estimator).fit(bad_x, bad_y)
    with pytest.raises(ValueError, match="use 'closed' or 'gradient'"):
        Translation(solver="sgd").fit(x, y)
