"""The papers' formulas as they are printed: float64 numpy, one loop for each sum. Nothing here is fast."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch


def embeddings(seed: int, n: int, d: int, mean: float = 1.0, dtype: torch.dtype = torch.float64):
    """Correlated rows with unequal scales and a mean, [n, d]."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=g, dtype=torch.float64)
    scales = torch.linspace(0.5, 3.0, d, dtype=torch.float64)
    x = torch.randn(n, d, generator=g, dtype=torch.float64) @ mix * scales
    return (x + mean * torch.randn(d, generator=g, dtype=torch.float64)).to(dtype)


def rotation(seed: int, d: int) -> torch.Tensor:
    """An orthogonal matrix, float64, [d, d]."""
    g = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64)).Q


def covariance(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Empirical mean and covariance, one outer product for each row."""
    x = np.asarray(x, dtype=np.float64)
    mean = np.zeros(x.shape[1])
    for row in x:
        mean += row / len(x)
    sigma = np.zeros((x.shape[1], x.shape[1]))
    for row in x:
        sigma += np.outer(row - mean, row - mean) / (len(x) - 1)
    return mean, sigma


def shrunk(x: np.ndarray, shrinkage: float, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Appendix B: mean and Sigma_lambda."""
    mean, sigma = covariance(x)
    d = len(mean)
    return mean, (1 - shrinkage) * sigma + shrinkage * np.trace(sigma) / d * np.eye(d) + eps * np.eye(d)


def inverse_root(sigma: np.ndarray) -> np.ndarray:
    """L = Sigma^(-1/2), symmetric, for a Sigma of full rank."""
    values, vectors = np.linalg.eigh(sigma)
    return vectors @ np.diag(values**-0.5) @ vectors.T


def wip(x: np.ndarray, anchors: np.ndarray, metric: np.ndarray, shrinkage: float, eps: float) -> np.ndarray:
    """Eq. 4: (x - mu)^T Sigma_lambda^-1 (a - mu), pair by pair, [N, m]."""
    mean, sigma = shrunk(metric, shrinkage, eps)
    inverse = np.linalg.inv(sigma)
    return np.array([[(row - mean) @ inverse @ (a - mean) for a in anchors] for row in x])


def cosine(x: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """<x, a> / (|x| |a|), pair by pair, [N, m]."""
    return np.array([[row @ a / (np.linalg.norm(row) * np.linalg.norm(a)) for a in anchors] for row in x])


def mixture(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Row-wise softmax of logits / T."""
    rows = []
    for row in logits:
        e = [np.exp(value / temperature) for value in row]
        rows.append([value / sum(e) for value in e])
    return np.array(rows)


def coverage(x_w: np.ndarray, a_w: np.ndarray, tau: float) -> float:
    """Appendix A, coverage of one encoder."""
    total = 0.0
    for x in x_w:
        distances = [float(np.sum((x - a) ** 2)) for a in a_w]
        e = [np.exp(-distance / tau) for distance in distances]
        total += sum(weight / sum(e) * distance for weight, distance in zip(e, distances, strict=True))
    return total / len(x_w) / x_w.shape[1]


def orthogonality(a_w: np.ndarray) -> float:
    """Appendix A, orthogonality of one encoder: mean over r != s."""
    m = len(a_w)
    unit = [a / np.linalg.norm(a) for a in a_w]
    return sum((unit[r] @ unit[s]) ** 2 for r in range(m) for s in range(m) if r != s) / (m * (m - 1))


def length(a_w: np.ndarray) -> float:
    """Appendix A, anchor length constraint of one encoder."""
    return sum((np.linalg.norm(a) - 1) ** 2 for a in a_w) / len(a_w)


def nce(r_i: np.ndarray, r_j: np.ndarray, tau: float) -> float:
    """Appendix A, InfoNCE from i to j."""
    logits = cosine(r_i, r_j) / tau
    total = 0.0
    for a in range(len(logits)):
        shift = max(logits[a])
        total -= logits[a, a] - shift - np.log(sum(np.exp(value - shift) for value in logits[a]))
    return total / len(logits)


def sym_nce(representations: Sequence[np.ndarray], tau: float) -> float:
    """Appendix A, symmetric InfoNCE, averaged over all pairs of encoders; 0 for one encoder."""
    pairs = list(combinations(representations, 2))
    both = [0.5 * (nce(r_i, r_j, tau) + nce(r_j, r_i, tau)) for r_i, r_j in pairs]
    return sum(both) / len(both) if both else 0.0
