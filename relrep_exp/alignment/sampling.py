"""Measure how far a number moves with the test samples: standard errors as a bootstrap has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DRAWS = 1000  # at which a standard error is itself known to 2 %


def mean_error(x: Tensor) -> float:
    """Measure the standard error of the mean of x [N] over samples.

    It is the standard deviation of the mean over bootstrap samples, in closed form.
    """
    return float(x.double().std(correction=0)) / len(x) ** 0.5


def weighted_f1_error(predicted: Tensor, labels: Tensor, seed: int, draws: int = DRAWS) -> float:
    """Measure the standard deviation of weighted F1 over bootstrap samples of the test samples.

    How often each pair of true and predicted class is drawn is multinomial, and F1 needs no more: the cost
    does not grow with N.

    Args:
        predicted: [N].
        labels: [N].
        seed: of the draws.
        draws: bootstrap samples.
    """
    both = torch.stack([labels, predicted]).cpu()
    classes, numbers = both.unique(return_inverse=True)
    pairs, counts = numbers.unique(dim=1, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(labels), counts.numpy() / len(labels), draws)
    true, claimed = np.eye(len(classes))[pairs.numpy()]  # [pairs, classes] each
    support = drawn @ true
    total = support + drawn @ claimed
    hits = drawn @ (true * claimed)
    f1 = 2 * hits / np.where(total > 0, total, 1)
    return float(((support * f1).sum(1) / len(labels)).std())
