"""Which samples must be parallel: all that are compared across encoders, or the support alone."""

import pytest
import torch

from relrep_exp.alignment.aligner import RelativeAligner, SingleRelativeAligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.param.learn import Param, ParamSettings
from relrep_exp.alignment.relative import RelativeSpace

from .synthetic import K, N, learn, views


def shuffled(spaces, name):
    """Which sample a row outside the support is of is another one for this encoder."""
    order = torch.randperm(N - K, generator=torch.Generator().manual_seed(1)) + K
    return {**spaces, name: torch.cat([spaces[name][:K], spaces[name][order]])}


@pytest.mark.parametrize(("pairs", "matters"), [("support", False), ("all", True)])
def test_what_the_rest_is_paired_with_matters_to_all_pairs_alone(pairs, matters):
    spaces = views(3)
    before, after = (learn(x, pairs=pairs).weights for x in (spaces, shuffled(spaces, "b")))
    assert (float((before - after).abs().max()) > 1e-3) == matters
    if not matters:
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-6)  # statistics sum in another order


def test_with_everything_in_the_support_there_is_no_difference():
    found = [learn(k=N, pairs=pairs) for pairs in ("all", "support")]
    assert torch.equal(found[0].weights, found[1].weights)


@pytest.mark.parametrize(
    ("kind", "pairs", "strategy", "points"),
    [
        (RelativeAligner, "all", "param", N),
        (RelativeAligner, "support", "param", K),
        (SingleRelativeAligner, "all", "param", K),  # one encoder: nothing is compared
        (RelativeAligner, "", "random", 5),
        (RelativeAligner, "", "kmeans", K),
        (RelativeAligner, "", "fps", K),
    ],
)
def test_the_parallel_points_are_all_that_were_compared(kind, pairs, strategy, points):
    chosen = Param(ParamSettings(epochs=1, pairs=pairs)) if strategy == "param" else strategy
    aligner = kind("method", lambda: RelativeSpace(chosen, "wip", m=5, support=K))
    aligner.fit({name: Space(x) for name, x in views(3).items()})
    assert aligner.points() == points
