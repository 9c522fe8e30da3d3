"""What P's logits are before PARAM learns: normal numbers, or the consensus of the training encoders."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relrep_exp.alignment.agreement import agree
from relrep_exp.alignment.moments import Moments
from relrep_exp.training.seeding import generator

ANCHORS_A_DIMENSION = 4  # two of them start from it, two from normal numbers


def normal_logits(m: int, samples: int, std: float, seed: int) -> Tensor:
    """Independent normal numbers of mean 0, [m, K]; K = samples."""
    return std * torch.randn(m, samples, generator=generator(seed, "param logits"))


def with_consensus(logits: Tensor, support: Mapping[str, Tensor], temperature: float) -> Tensor:
    """Logits whose leading rows are +z_k / -z_k times T, one pair for each of the m / 4 leading dimensions.

    z_k [K] is the k-th coordinate of the consensus of the support (docs/consensus.md), standardised. The
    pair of anchors mixes the samples by exp(z_k) and exp(-z_k), so that it lies on both sides of the mean
    along what all encoders agree on. The other rows stay as they are, as do all where m < 4.

    Args:
        logits: [m, K].
        support: whitened embeddings of the same K samples of each training encoder, [K, d_i].
        temperature: T of the softmax over each row.
    """
    moments = Moments.of(support)
    agreement = agree(moments, moments.dims)
    directions = agreement.stacked()[:, : len(logits) // ANCHORS_A_DIMENSION]
    coordinates = (torch.cat(list(support.values()), dim=1).double() - moments.mean) @ directions
    z = temperature * coordinates.T / coordinates.std(0, correction=0)[:, None]
    pairs = torch.stack([z, -z], dim=1).flatten(0, 1).to(logits)
    return torch.cat([pairs, logits[len(pairs) :]])
