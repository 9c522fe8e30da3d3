"""Standard errors over test samples, against bootstraps that draw the samples one by one."""

import numpy as np
import pytest
import torch

from relrep_exp.alignment import sampling

from .test_metrics import literal_weighted_f1


def drawn(statistic, n, draws=4000):
    rng = np.random.default_rng(1)
    return np.std([statistic(rng.integers(n, size=n)) for _ in range(draws)])


def test_the_error_of_a_mean_is_that_of_a_bootstrap():
    x = np.random.default_rng(0).exponential(size=50)
    assert sampling.mean_error(torch.from_numpy(x)) == pytest.approx(np.std(x) / np.sqrt(50), rel=1e-12)
    assert sampling.mean_error(torch.from_numpy(x)) == pytest.approx(
        drawn(lambda i: x[i].mean(), 50), rel=0.05
    )
    assert sampling.mean_error(torch.tensor([True, True, False, True])) == pytest.approx((3 / 16 / 4) ** 0.5)


def test_the_error_of_weighted_f1_is_that_of_a_bootstrap():
    rng = np.random.default_rng(2)
    truth = rng.choice([0, 1, 1, 1, 7], size=60)  # unbalanced, and a class that is often not drawn
    predicted = np.where(rng.random(60) < 0.7, truth, rng.choice([0, 1, 3], size=60))
    expected = drawn(lambda i: literal_weighted_f1(predicted[i], truth[i]), 60, 1000)
    found = sampling.weighted_f1_error(torch.from_numpy(predicted), torch.from_numpy(truth), 0, 4000)
    assert found == pytest.approx(expected, rel=0.1)
    assert sampling.weighted_f1_error(torch.arange(9), torch.arange(9), 0) == 0.0
