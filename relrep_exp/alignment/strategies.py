"""The strategies that pick anchors or average samples; ANCHORS in `anchors.py` has their names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from relrep_exp.alignment.anchors import AnchorSet, WhitenedSpace, one_hot
from relrep_exp.training.seeding import generator


def random_anchors(spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
    """Draw m distinct support samples uniformly, as in the original relative representations."""
    _require_enough(m, ids)
    order = torch.randperm(len(ids), generator=generator(seed, "random anchors"))
    return AnchorSet.picking(ids, order[:m])


def farthest_point_anchors(spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
    """Sample farthest points: each next anchor is the sample farthest from those chosen.

    Distances are taken in the whitened coordinates of all training encoders side by side, so that each
    encoder counts by its dimension and none by its scale. The first point is drawn at random.
    """
    _require_enough(m, ids)
    points = _side_by_side(spaces, ids)
    first = int(torch.randint(len(ids), (1,), generator=generator(seed, "fps anchors")))
    chosen = [first]
    nearest = points.new_full((len(points),), torch.inf)
    for _ in range(m - 1):
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return AnchorSet.picking(ids, torch.tensor(chosen), _paired(spaces, ids))


def kmeans_anchors(spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
    """Cluster by k-means: each anchor is the mean of the support samples nearest to one centroid.

    Clustered in the same coordinates as farthest-point sampling; one row of P averages one cluster.
    """
    from sklearn.cluster import KMeans

    _require_enough(m, ids)
    state = int(torch.randint(2**31, (1,), generator=generator(seed, "kmeans anchors")))
    labels = KMeans(m, n_init=1, random_state=state).fit_predict(_side_by_side(spaces, ids).cpu().numpy())
    members = one_hot(torch.from_numpy(labels).long(), m).T
    return AnchorSet(ids, _fill_empty(members, seed) / members.sum(1, keepdim=True).clamp_min(1.0))


def collinear_anchors(spaces: Mapping[str, WhitenedSpace], ids: Tensor, m: int, seed: int) -> AnchorSet:
    """Choose linearly dependent anchors, badly on purpose, for Figure 1(i).

    The line goes through the mean and a sample drawn at random; the anchors are this sample and those whose
    direction from the mean is nearest to the line's, on either side. Any similarity that is linear in the
    centred anchor then has a relative representation of one dimension. The quarter of the samples nearest to
    the mean comes last: their directions are those of the noise.
    """
    _require_enough(m, ids)
    points = _side_by_side(spaces, ids)
    lengths = points.norm(dim=1)
    far = (lengths >= lengths.quantile(0.25)).cpu()
    drawn = far.nonzero()[torch.randint(int(far.sum()), (1,), generator=generator(seed, "collinear anchors"))]
    directions = F.normalize(points, dim=1).cpu()
    nearest = ((directions @ directions[drawn.item()]).abs() + far).topk(m).indices
    return AnchorSet.picking(ids, nearest, _paired(spaces, ids))


def _fill_empty(members: Tensor, seed: int) -> Tensor:
    """Give a cluster without members (fewer distinct points than m) one sample at random."""
    empty = members.sum(1) == 0
    columns = torch.randint(
        members.shape[1], (int(empty.sum()),), generator=generator(seed, "empty clusters")
    )
    members[empty] = one_hot(columns, members.shape[1])
    return members


def _side_by_side(spaces: Mapping[str, WhitenedSpace], ids: Tensor) -> Tensor:
    """Put the whitened support embeddings of all training encoders side by side, [K, sum d]."""
    return torch.cat([space.whitened[ids.to(space.whitened.device)] for space in spaces.values()], dim=1)


def _paired(spaces: Mapping[str, WhitenedSpace], ids: Tensor) -> int:
    """Count the samples whose embeddings stand side by side: they must be paired where there are several."""
    return len(ids) if len(spaces) > 1 else 0


def _require_enough(m: int, ids: Tensor) -> None:
    if m > len(ids):
        raise ValueError(
            f"{m} anchors cannot be picked from {len(ids)} support samples; "
            f"use at most {len(ids)} anchors, or PARAM, whose mixtures may outnumber the samples"
        )
