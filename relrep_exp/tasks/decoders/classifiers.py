"""Decoders that classify: how features are scaled for them, scikit-learn's, and what all have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from relrep_exp.config.schema import LinearConfig, ScalingName, SvmConfig
from relrep_exp.tasks.measure import DECODERS
from relrep_exp.tasks.work import Work

_LOG = logging.getLogger("relrep_exp")


class Decoder(Protocol):
    """Reads representations [N, k]."""

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers, [N]."""


class Job(NamedTuple):
    """A decoder to be fitted.

    Attributes:
        name: seeds whatever it draws.
        x: training features, [N, k].
        y: their classes, int64, [N].
    """

    name: str
    x: Tensor
    y: Tensor


FitDecoders = Callable[[Sequence[Job], int], Sequence[Decoder]]  # (jobs, number of classes)


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
        """Scale features x [N, k] -> [N, k]."""
        return (x - self.shift) / self.scale

    @classmethod
    def fit(cls, name: ScalingName, x: Tensor) -> Scaling:
        """Fit the scaling `name` to training features x [N, k].

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


@dataclass(frozen=True)
class Scaled:
    """Scale features for a decoder.

    Attributes:
        decoder: was trained on features scaled like this.
        scaling: of its training features.
    """

    decoder: Decoder
    scaling: Scaling

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return self.decoder.predict(self.scaling(x))


def fit_decoders(work: Work, jobs: Sequence[Job], classes: int) -> list[Decoder]:
    """Fit a decoder of the configured kind for each job, on features scaled as it is configured.

    A decoder depends on its name, its features and the seed alone, not on what is fitted beside it.
    """
    settings = work.config.decoder
    _LOG.info("decoders: %d of %s", len(jobs), settings.name)
    scalings = [Scaling.fit(getattr(settings, "scaling", "none"), job.x) for job in jobs]
    scaled = [job._replace(x=scale(job.x)) for job, scale in zip(jobs, scalings, strict=True)]
    fit: FitDecoders = DECODERS[settings.name](work)
    fitted = fit(scaled, classes)
    return [Scaled(decoder, scaling) for decoder, scaling in zip(fitted, scalings, strict=True)]


@dataclass(frozen=True)
class Sklearn:
    """Read by a fitted classifier of scikit-learn's."""

    model: Any

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return torch.from_numpy(np.asarray(self.model.predict(x.cpu().numpy()))).to(x.device)


def linear(work: Work) -> FitDecoders:
    """Fit logistic regressions."""
    from sklearn.linear_model import LogisticRegression

    settings = cast(LinearConfig, work.config.decoder)
    return _each(lambda: LogisticRegression(C=settings.C, tol=settings.tol, max_iter=settings.max_iter))


def svm(work: Work) -> FitDecoders:
    """Fit support vector machines."""
    from sklearn.svm import SVC

    settings = cast(SvmConfig, work.config.decoder)
    return _each(lambda: SVC(C=settings.C, kernel=settings.kernel))


def _each(make: Callable[[], Any]) -> FitDecoders:
    """Fit a classifier of scikit-learn's for each job."""
    return lambda jobs, classes: [Sklearn(make().fit(x.cpu().numpy(), y.cpu().numpy())) for _, x, y in jobs]
