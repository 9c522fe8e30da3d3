"""Made-up embeddings of the shape of the paper's, and how long its equations take on them as printed."""

from __future__ import annotations

import torch
from benchmarking import timed
from literal import statistics, train_head, train_param
from torch import Tensor

from relrep_exp.alignment.anchors import WhitenedSpace, draw_support
from relrep_exp.alignment.param.learn import ParamSettings
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.store.keys import content_key
from relrep_exp.tasks.decoders.head_training import HeadSettings

DIMS = {"vit_s": 384, "rexnet": 1280, "vit_b": 768, "vit_r50": 768}
CLASSES, LATENT, TRAIN, TEST, SUPPORT, ANCHORS = 20, 64, 50_000, 10_000, 5_000, 300
CENTRES, NOISE = 0.45, 0.5  # deviation of class centres and of an encoder's own noise; within a class it is 1
HEAD_EPOCHS, HEAD_BATCH, HEAD_STEPS = 9, 32, 200
RELATIVE_METHODS = 3


def scaled(count: int, fraction: float) -> int:
    """A share of the paper's count; no fewer than there are anchors."""
    return max(ANCHORS, round(count * fraction))


def paper_shaped(fraction: float, seed: int) -> Embeddings:
    """Affine images of one cloud of labelled points in each encoder, with noise before and after the map."""
    g = torch.Generator().manual_seed(seed)
    train, test = scaled(TRAIN, fraction), scaled(TEST, fraction)
    labels = torch.randint(CLASSES, (train + test,), generator=g)
    centres = CENTRES * torch.randn(CLASSES, LATENT, generator=g)
    points = centres[labels] + torch.randn(train + test, LATENT, generator=g)
    is_train = torch.arange(train + test) < train
    corpora = {name: Corpus(_view(points, d, g), is_train, labels) for name, d in DIMS.items()}
    keys = {name: content_key({"made": name, "seed": seed, "fraction": fraction}) for name in DIMS}
    return Embeddings(corpora, corpora, keys)


def _view(points: Tensor, d: int, g: torch.Generator) -> Tensor:
    """x = (z + noise) A + noise + b with singular values of A that fall off, [N, d]."""
    scales = torch.logspace(0, -1, LATENT)
    a = scales[:, None] * torch.randn(LATENT, d, generator=g) / LATENT**0.5
    seen = points + NOISE * torch.randn(points.shape, generator=g)
    return seen @ a + 0.1 * torch.randn(len(points), d, generator=g) + torch.randn(d, generator=g)


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
    head = timed(lambda: train_head(x, y, CLASSES, HEAD_STEPS, HeadSettings()), device.type) / HEAD_STEPS
    heads = RELATIVE_METHODS * count**2 + count
    return {
        "PARAM Multi fits": (count, multi),
        "PARAM Single fits": (count * (count - 1), single),
        "heads": (heads, heads * head * HEAD_EPOCHS * -(-rows // HEAD_BATCH)),
        "statistics": (count, of_statistics),
    }
