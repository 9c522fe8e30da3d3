"""The paper's equations as printed, in plain PyTorch: what one would write first, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice, repeat

import torch
import torch.nn.functional as F
from benchmarking import timed
from made_up import ANCHORS, CLASSES, SUPPORT, scaled
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from relrep_exp.alignment.anchors import WhitenedSpace, draw_support
from relrep_exp.alignment.param import losses
from relrep_exp.alignment.param.learn import ParamSettings
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.config.schema import HeadConfig
from relrep_exp.encoders.embeddings import Embeddings

HEAD_EPOCHS, HEAD_BATCH, HEAD_STEPS = 9, 32, 200
RELATIVE_METHODS = 3


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and Sigma_lambda^(-1/2) of Appendix B, from a whole float64 copy of x [N, d]."""
    x = x.double()
    sigma = torch.cov(x.T)
    eye = torch.eye(len(sigma), dtype=x.dtype, device=x.device)
    values, vectors = torch.linalg.eigh(0.85 * sigma + 0.15 * sigma.trace() / len(sigma) * eye + 5e-8 * eye)
    return x.mean(0), vectors @ torch.diag(values.rsqrt()) @ vectors.T


def train_param(
    spaces: Sequence[WhitenedSpace], ids: Tensor, logits: Tensor, settings: ParamSettings, steps: int
) -> None:
    """Some steps of Eq. 3 as `alignment/param/losses.py` prints it: Adam on the logits [m, K], a DataLoader.

    Anchors are mixed from raw embeddings, then whitened, in every step.
    """
    logits.requires_grad_()
    adam, numbers = torch.optim.Adam([logits], settings.lr), torch.arange(len(spaces[0].x))
    loader = DataLoader(TensorDataset(numbers), settings.batch, shuffle=True)
    wip = get_similarity("wip")
    for (rows,) in islice(chain.from_iterable(repeat(loader)), steps):
        terms = losses.terms(logits, spaces, ids, rows.to(logits.device), settings, wip)
        adam.zero_grad()
        losses.total(terms, settings.weights()).backward()
        adam.step()


class OverBatch(nn.Module):
    """Each feature standardised over the batch: nn.InstanceNorm1d of the transposed batch."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.InstanceNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, k] -> [B, k]."""
        return self.norm(x.T[None])[0].T


def train_head(x: Tensor, y: Tensor, classes: int, steps: int, how: HeadConfig) -> None:
    """Some steps of one classifier head on x [N, k], y [N], by a DataLoader and a plain loop."""
    k = x.shape[1]
    head = nn.Sequential(
        nn.LayerNorm(k),
        nn.Linear(k, k),
        nn.Tanh(),
        nn.Dropout(how.dropout),
        OverBatch(k) if how.name == "mlp_paper" else nn.LayerNorm(k),
        nn.Linear(k, classes),
    ).to(x.device)
    adam = torch.optim.Adam(head.parameters(), how.lr, weight_decay=how.weight_decay)
    loader = DataLoader(TensorDataset(x.cpu(), y.cpu()), how.batch, shuffle=True)
    for features, labels in islice(chain.from_iterable(repeat(loader)), steps):
        adam.zero_grad()
        F.cross_entropy(head(features.to(x.device)), labels.to(x.device)).backward()
        adam.step()


def literal_parts(embeddings: Embeddings, fraction: float, steps: int) -> dict[str, tuple[int, float]]:
    """How many of each part Algorithm 1 makes, and their seconds as the equations are printed.

    Scaled from some steps of each. Nothing is shared: PARAM Single is fitted for each source and test
    encoder, a head trained for each source, test encoder and method, but for `absolute` one for each encoder.
    """
    spaces = {name: corpus.x[corpus.is_train] for name, corpus in embeddings.paired.items()}
    device = next(iter(spaces.values())).device
    seen = {}
    for name, x in spaces.items():
        mean, root = (part.to(x) for part in statistics(x))
        seen[name] = WhitenedSpace(x, Whitening(mean, root, 1.0, len(mean), len(x)))
    of_statistics = sum(timed(lambda x=x: statistics(x), device.type) for x in spaces.values())
    settings = ParamSettings()
    rows, count = len(next(iter(spaces.values()))), len(spaces)
    ids = draw_support(rows, scaled(SUPPORT, fraction), 0).to(device)

    def fit_seconds(names: list[str]) -> float:
        logits = torch.randn(ANCHORS, len(ids), device=device)
        parts = [seen[name] for name in names]
        train_param(parts, ids, logits, settings, 1)
        in_all = -(-rows // settings.batch) * settings.epochs
        return timed(lambda: train_param(parts, ids, logits, settings, steps), device.type) / steps * in_all

    multi = sum(fit_seconds([name for name in spaces if name != test]) for test in spaces)
    single = sum(fit_seconds([name]) for name in spaces) * (count - 1)
    first = next(iter(embeddings.tasks.values()))
    y = first.labels[first.is_train]  # type: ignore[index]
    x = torch.randn(rows, ANCHORS, device=device)
    how = HeadConfig(name="mlp")
    head = timed(lambda: train_head(x, y, CLASSES, HEAD_STEPS, how), device.type) / HEAD_STEPS
    heads = RELATIVE_METHODS * count**2 + count
    return {
        "PARAM Multi fits": (count, multi),
        "PARAM Single fits": (count * (count - 1), single),
        "heads": (heads, heads * head * HEAD_EPOCHS * -(-rows // HEAD_BATCH)),
        "statistics": (count, of_statistics),
    }
