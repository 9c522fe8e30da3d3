"""Measures of classification, retrieval between spaces, and the geometry of representations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.neighbours import DEVICE_BLOCK, nearest, ranks


def weighted_f1(predicted: Tensor, labels: Tensor) -> float:
    """Average F1 over classes by their support ("mean-weighted F1"), in 0..1. Both [N]."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels.cpu(), predicted.cpu(), average="weighted", zero_division=0.0))


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Measure the share of equal entries. Both [N]."""
    return float((predicted == labels).double().mean())


@dataclass(frozen=True)
class Retrieval:
    """Ranks of the true partner, 1 = first; ties share the mean of their ranks.

    Attributes:
        ranks: [N], float64.
    """

    ranks: Tensor

    def recall(self, k: int) -> float:
        """Measure R@k, the share of queries whose partner is among the k nearest."""
        return float((self.ranks <= k).double().mean())

    def mrr(self) -> float:
        """Average the reciprocal rank."""
        return float(self.ranks.reciprocal().mean())


def retrieve(queries: Tensor, keys: Tensor, block_elements: int | None = None) -> Retrieval:
    """Rank key i among all keys for query i, by cosine, as float64 has it.

    Args:
        queries: [N, k], row i belongs to row i of keys.
        keys: [N, k].
        block_elements: cosines held at once, by default as many as the device is fast with; changes no rank.
    """
    return Retrieval(ranks(queries, keys, block_elements))


def neighbourhood_overlap(a: Tensor, b: Tensor, k: int = 10, block_elements: int = DEVICE_BLOCK) -> float:
    """Average the share of common members of a row's k nearest rows (by cosine) in both spaces, mutual k-NN.

    Args:
        a: [N, p].
        b: [N, q], rows parallel to a's.
        k: neighbours, at most N - 1 are used; a row is not its own neighbour.
        block_elements: scores held at once.
    """
    k = min(k, len(a) - 1)
    if k < 1:
        return float("nan")
    near_a, near_b = (nearest(x, k, block_elements) for x in (a, b))
    common = torch.cat([near_a, near_b], dim=1).sort(dim=1).values
    return float((common[:, 1:] == common[:, :-1]).double().sum(1).mean() / k)


def normalised_mse(a: Tensor, b: Tensor) -> float:
    """Divide the mean squared difference of parallel rows by both's mean per-feature variance (Table 4).

    0 for equal spaces, 2 for unrelated ones of equal mean and variance. Both [N, k], N >= 2.
    """
    mse = (a.double() - b.double()).square().mean()
    variance = 0.5 * (a.double().var(0).mean() + b.double().var(0).mean())
    return float(mse / variance)


def matching_cosine(a: Tensor, b: Tensor) -> float:
    """Average the cosine between parallel rows (Fig. 2). Both [N, k]."""
    return float(F.cosine_similarity(a.double(), b.double(), dim=1).mean())


def displacements(a: Tensor, b: Tensor) -> Tensor:
    """Measure how far each row of b is from its partner in a, over the standard deviation of a.

    That is the root of the summed variances of a's features, so that the unit of a plays no part.

    Args:
        a: [N, k], N >= 2.
        b: [N, k], rows parallel to a's.

    Returns:
        [N], float64.
    """
    a, b = a.double(), b.double()
    moved: Tensor = (b - a).norm(dim=1) / a.var(0).sum().sqrt()
    return moved


def feature_std(x: Tensor) -> float:
    """Measure RR_std, the standard deviation over samples, averaged over features. x [N, k], N >= 2."""
    return float(x.double().std(0).mean())


def effective_rank(x: Tensor) -> float:
    """Measure exp of the entropy of the normalised singular values of centred x [N, k]; 0 for constant x."""
    values = torch.linalg.svdvals(x.double() - x.double().mean(0))
    total = values.sum()
    return float(torch.special.entr(values / total).sum().exp()) if total > 0 else 0.0


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Measure linear centred kernel alignment in feature space, O(N p q). a [N, p], b [N, q]."""
    a, b = (x.double() - x.double().mean(0) for x in (a, b))
    cross = (a.T @ b).square().sum()
    return float(cross / ((a.T @ a).norm() * (b.T @ b).norm()))


@torch.no_grad()
def rescaling(
    decoder: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, factors: Sequence[float]
) -> dict[float, float]:
    """Measure the accuracy of a decoder whose input is multiplied by a factor (arXiv:2406.15057, 2311.00664).

    Without biases, ReLU makes a decoder exactly invariant to positive factors; monotone activations nearly;
    a cosine is not.

    Args:
        decoder: x [N, d] -> logits [N, C].
        x: embeddings that it reads.
        y: classes, int64, [N].
        factors: by which x is multiplied.

    Returns:
        The share of right answers, by factor.

    Raises:
        ValueError: x and y have unequal rows.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} embeddings for {len(y)} classes")
    return {factor: float((decoder(x * factor).argmax(1) == y).double().mean()) for factor in factors}
