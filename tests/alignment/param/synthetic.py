"""Small parallel spaces: noisy linear views of the same points."""

import torch
from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet, WhitenedSpace
from relrep_exp.alignment.param.fast import Precision
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.similarity import get_similarity
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.training.device import Training

N, K, M = 60, 30, 7


def views(count: int = 2, n: int = N, noise: float = 0.3) -> dict[str, Tensor]:
    """`count` encoders of dimension 5, 6, ...: x_i = z A_i + noise + 1."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(n, 5, generator=g)
    made = {}
    for i in range(count):
        a = torch.randn(5, 5 + i, generator=g)
        made["abcd"[i]] = z @ a + noise * torch.randn(n, 5 + i, generator=g) + 1.0
    return made


def whitened(spaces: dict[str, Tensor]) -> dict[str, WhitenedSpace]:
    """As a strategy gets them."""
    return {name: WhitenedSpace(x, Whitening.fit(x)) for name, x in spaces.items()}


def learn(
    spaces: dict[str, Tensor] | None = None,
    *,
    m: int = M,
    k: int = K,
    seed: int = 0,
    similarity: str = "wip",
    training: Training | None = None,
    precision: Precision = "float32",
    single: bool = False,
    **settings: float | str,
) -> AnchorSet:
    """PARAM on small spaces: 6 epochs of 4 steps, all samples paired, unless told otherwise."""
    chosen = ParamSettings(**{"epochs": 6, "batch": 16, "pairs": "all", **settings})
    strategy = Param(chosen, get_similarity(similarity), training or Training(), precision, single)
    return strategy(whitened(spaces or views()), torch.arange(k), m, seed)
