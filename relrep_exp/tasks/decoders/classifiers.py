"""What reads representations: trained heads (Lightning) and scikit-learn's classifiers, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from relrep_exp.config.schema import DecoderConfig, HeadConfig, LinearConfig
from relrep_exp.tasks.decoders.scaling import Scaling
from relrep_exp.training.device import Training
from relrep_exp.training.seeding import scoped_seed

if TYPE_CHECKING:
    from relrep_exp.tasks.decoders.heads import HeadBank

BANK_ELEMENTS = 2**28  # features held at once by one bank of heads: 1 GiB in float32


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


FitDecoders = Callable[[Sequence[Job], int], list[Decoder]]


@dataclass(frozen=True)
class Scaled:
    """A decoder of scaled features.

    Attributes:
        decoder: was trained on features scaled like this.
        scaling: of its training features.
    """

    decoder: Decoder
    scaling: Scaling

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return self.decoder.predict(self.scaling(x))


@dataclass(frozen=True)
class Head:
    """One head of a bank."""

    bank: HeadBank
    number: int

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return self.bank.predict_head(self.number, x)


@dataclass(frozen=True)
class Sklearn:
    """A fitted scikit-learn classifier."""

    model: Any

    def predict(self, x: Tensor) -> Tensor:
        """Class numbers of x [N, k], [N]."""
        return torch.from_numpy(np.asarray(self.model.predict(x.cpu().numpy()))).to(x.device)


def decoder_fitter(config: DecoderConfig, seed: int, training: Training) -> FitDecoders:
    """A function that fits a decoder for each job, given the number of classes.

    A decoder depends on its name, its features and the seed alone, not on what is fitted beside it.
    """

    def fit(jobs: Sequence[Job], classes: int) -> list[Decoder]:
        scalings = [Scaling.fit(config.scaling, job.x) for job in jobs]
        scaled = [job._replace(x=scale(job.x)) for job, scale in zip(jobs, scalings, strict=True)]
        if isinstance(config, HeadConfig):
            decoders = _heads(config, scaled, classes, seed, training)
        else:
            decoders = [Sklearn(_sklearn(config).fit(x.cpu().numpy(), y.cpu().numpy())) for _, x, y in scaled]
        return [Scaled(decoder, scaling) for decoder, scaling in zip(decoders, scalings, strict=True)]

    return fit


def _heads(
    config: HeadConfig, jobs: Sequence[Job], classes: int, seed: int, training: Training
) -> list[Decoder]:
    """Heads of equal width on as many samples are trained side by side in one bank."""
    from relrep_exp.tasks.decoders.head_training import fit_heads  # Lightning takes seconds to import
    from relrep_exp.tasks.decoders.heads import HeadSettings

    settings = HeadSettings(
        over_batch=config.name == "mlp_paper",
        dropout=config.dropout,
        epochs=config.epochs,
        batch=config.batch,
        lr=config.lr,
        weight_decay=config.weight_decay,
    )
    decoders: list[Decoder | None] = [None] * len(jobs)
    for group in _banks(jobs):
        seeds = [scoped_seed(seed, "decoder", jobs[i].name) for i in group]
        features, labels = [jobs[i].x for i in group], [jobs[i].y for i in group]
        bank = fit_heads(features, labels, classes, seeds, settings, training)
        for number, i in enumerate(group):
            decoders[i] = Head(bank, number)
    return [decoder for decoder in decoders if decoder is not None]


def _banks(jobs: Sequence[Job]) -> list[list[int]]:
    """Numbers of the jobs that are trained together: features of one shape, and bounded memory."""
    alike: dict[torch.Size, list[int]] = {}
    for i, job in enumerate(jobs):
        alike.setdefault(job.x.shape, []).append(i)
    banks = []
    for members in alike.values():
        size = max(1, BANK_ELEMENTS // jobs[members[0]].x.numel())
        banks += [members[start : start + size] for start in range(0, len(members), size)]
    return banks


def _sklearn(config: Any) -> Any:
    """An unfitted classifier."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    if isinstance(config, LinearConfig):
        return LogisticRegression(C=config.C, tol=config.tol, max_iter=config.max_iter)
    return SVC(C=config.C, kernel=config.kernel)
