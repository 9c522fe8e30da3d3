"""The paper's equations as they are printed, in plain PyTorch: what one would write first, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from relrep_exp.alignment.param.learn import ParamSettings
from relrep_exp.tasks.decoders.head_training import HeadSettings


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and Sigma_lambda^(-1/2) of Appendix B, from a whole float64 copy of x [N, d]."""
    x = x.double()
    sigma = torch.cov(x.T)
    eye = torch.eye(len(sigma), dtype=x.dtype, device=x.device)
    values, vectors = torch.linalg.eigh(0.85 * sigma + 0.15 * sigma.trace() / len(sigma) * eye + 5e-8 * eye)
    return x.mean(0), vectors @ torch.diag(values.rsqrt()) @ vectors.T


@dataclass
class LiteralParam:
    """Eq. 3 on raw embeddings: anchors are mixed, then whitened, in every step.

    Attributes:
        spaces: raw embeddings [N, d] of each encoder.
        means: their means, [d] each.
        roots: their Sigma_lambda^(-1/2), [d, d] each.
        ids: the support, [K].
        logits: of P, [m, K].
        settings: Table 5.
    """

    spaces: Sequence[Tensor]
    means: Sequence[Tensor]
    roots: Sequence[Tensor]
    ids: Tensor
    logits: Tensor
    settings: ParamSettings

    def terms(self, rows: Tensor) -> list[Tensor]:
        """symNCE, coverage, orthogonality and length of Appendix A on the samples `rows` [B]."""
        s, p = self.settings, (self.logits / self.settings.temperature).softmax(1)
        single, relative = [], []
        for x, mean, root in zip(self.spaces, self.means, self.roots, strict=True):
            samples, anchors = (x[rows] - mean) @ root, (p @ x[self.ids] - mean) @ root
            distances = torch.cdist(samples, anchors).square()
            cover = ((distances / -s.coverage_temperature).softmax(1) * distances).sum(1).mean() / x.shape[1]
            cosines = F.normalize(anchors, dim=1) @ F.normalize(anchors, dim=1).T
            distinct = ~torch.eye(len(p), dtype=torch.bool, device=p.device)
            length = (anchors.norm(dim=1) - 1).square().mean()
            single.append(torch.stack([cover, cosines[distinct].square().mean(), length]))
            relative.append(F.normalize(samples @ anchors.T, dim=1))
        own = torch.arange(len(rows), device=rows.device)
        logits = [a @ b.T / s.nce_temperature for a, b in combinations(relative, 2)]
        nce = [0.5 * (F.cross_entropy(one, own) + F.cross_entropy(one.T, own)) for one in logits]
        return [torch.stack(nce).mean() if nce else p.new_zeros(()), *torch.stack(single).mean(0)]

    def train(self, steps: int) -> None:
        """Adam on the logits, minibatches from a DataLoader."""
        logits = self.logits.requires_grad_()
        adam, numbers = torch.optim.Adam([logits], self.settings.lr), torch.arange(len(self.spaces[0]))
        loader = DataLoader(TensorDataset(numbers), self.settings.batch, shuffle=True)
        batches = iter(loader)
        for _ in range(steps):
            rows = next(batches, None)
            if rows is None:
                batches = iter(loader)
                rows = next(batches)
            weights = self.settings.weights().values()
            terms = self.terms(rows[0].to(logits.device))
            adam.zero_grad()
            sum(weight * term for weight, term in zip(weights, terms, strict=True)).backward()
            adam.step()


class OverBatch(nn.Module):
    """Each feature standardised over the batch: nn.InstanceNorm1d of the transposed batch."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.InstanceNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, k] -> [B, k]."""
        return self.norm(x.T[None])[0].T


def train_head(x: Tensor, y: Tensor, classes: int, steps: int, how: HeadSettings) -> None:
    """Some steps of one classifier head on x [N, k], y [N], by a DataLoader and a plain loop."""
    k = x.shape[1]
    head = nn.Sequential(
        nn.LayerNorm(k),
        nn.Linear(k, k),
        nn.Tanh(),
        nn.Dropout(how.dropout),
        OverBatch(k) if how.over_batch else nn.LayerNorm(k),
        nn.Linear(k, classes),
    ).to(x.device)
    adam = torch.optim.Adam(head.parameters(), how.lr, weight_decay=how.weight_decay)
    loader = DataLoader(TensorDataset(x.cpu(), y.cpu()), how.batch, shuffle=True)
    for features, labels in islice(chain.from_iterable(repeat(loader)), steps):
        adam.zero_grad()
        F.cross_entropy(head(features.to(x.device)), labels.to(x.device)).backward()
        adam.step()
