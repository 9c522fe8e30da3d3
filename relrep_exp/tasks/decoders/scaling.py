"""How features are scaled before a decoder reads them: by its training features, never by what it reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relrep_exp.config.schema import ScalingName


@dataclass(frozen=True)
class Scaling:
    """x -> (x - shift) / scale.

    Attributes:
        shift: one number, or one for each feature, [k].
        scale: likewise; never zero.
    """

    shift: float | Tensor
    scale: float | Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Scaled features. x [N, k] -> [N, k]."""
        return (x - self.shift) / self.scale

    @classmethod
    def fit(cls, name: ScalingName, x: Tensor) -> Scaling:
        """The scaling `name` for training features x [N, k].

        `std` divides by one number, the standard deviation of all their entries, and so keeps the features'
        sizes relative to each other; `per_feature` gives every feature mean 0 and standard deviation 1 (the
        biased one, as scikit-learn's StandardScaler); `none` leaves them. What is constant is divided by 1.
        """
        if name == "none":
            return cls(0.0, 1.0)
        if name == "std":
            return cls(0.0, float(x.std()) or 1.0)
        variance, mean = torch.var_mean(x.double(), dim=0, correction=0)
        varies = (x != x[0]).any(0)  # rounding gives a constant feature a variance, too
        return cls(mean.to(x), torch.where(varies, variance.sqrt(), 1.0).to(x))
