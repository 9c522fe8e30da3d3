"""What each similarity is invariant to, and nothing more; what bad anchors and noise do (Figures 1 and 2)."""

import dataclasses

import numpy as np
import pytest
import torch
from works import measured

from relrep_exp.alignment.aligner import RelativeAligner, SingleRelativeAligner
from relrep_exp.alignment.anchors import Space
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
from relrep_exp.app.run import run as make_record
from relrep_exp.config.schema import GeometryTask
from relrep_exp.encoders.distorted import direction, rotation, scales
from relrep_exp.encoders.embeddings import Corpus, Embeddings

PAPER = {"shrinkage": 0.15, "standardise": "none"}
TASK = GeometryTask(name="geometry", kind="geometry", neighbours=5, view_samples=20)
N, TRAIN, D = 160, 100, 4


def normal(seed, *size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(d):
    return 2 * normal(1, 5, d)[torch.arange(N) % 5] + 0.5 * normal(2, N, d)


X = clusters(D)
SQUARE = normal(3, D, D) @ torch.diag(torch.tensor([30.0, 3.0, 1.0, 0.1], dtype=torch.float64))
MAPS = {
    "rotation": lambda x: x @ rotation(70.0, D, 0).T,
    "scale": lambda x: 3 * x,
    "translation": lambda x: x + 5 * direction(D, 0),
    "stretch": lambda x: x * scales(20.0, D),
    "affine": lambda x: x @ SQUARE + 7 * direction(D, 1),
    "projection": lambda x: x[:, :2],  # affine, but not invertible
    "warp": lambda x: x + 0.1 * x.pow(3),  # invertible, but not affine
}
SIMILARITIES = {
    "exact wip": {"similarity": "wip", "shrinkage": 0.0, "eps": 0.0},
    "wip": {"similarity": "wip", "shrinkage": 0.15, "eps": 0.0},
    "cosine": {"similarity": "cosine"},
    "euclidean": {"similarity": "euclidean"},
}
INVARIANT = {
    "exact wip": {"rotation", "scale", "translation", "stretch", "affine"},
    "wip": {"rotation", "scale", "translation"},
    "cosine": {"rotation", "scale"},
    "euclidean": {"rotation", "translation"},
}


def compared(spaces, anchors="random", m=6, train=TRAIN, **space):
    """The geometry task on spaces of parallel rows."""
    first = next(iter(spaces.values()))
    split, labels = torch.arange(len(first)) < train, torch.arange(len(first)) % 5
    corpora = {name: Corpus(x, split, labels) for name, x in spaces.items()}

    def aligner():
        return RelativeAligner("it", lambda: RelativeSpace(anchors, m=m, seed=0, **{**PAPER, **space}))

    return measured(Embeddings(corpora, corpora, dict.fromkeys(spaces, "key")), aligner, task=TASK)


def values(result):
    return {(row.source, row.target, row.metric): row.value for row in result.rows}


@pytest.mark.parametrize("sim", SIMILARITIES)
@pytest.mark.parametrize("name", MAPS)
def test_a_similarity_is_invariant_to_what_theory_says_and_to_nothing_more(sim, name):
    found = values(compared({"original": X, "mapped": MAPS[name](X)}, **SIMILARITIES[sim]))
    pair = ("original", "mapped")
    if name in INVARIANT[sim]:
        assert found[*pair, "nmse"] < 1e-16
        assert found[*pair, "rr_cosine"] == pytest.approx(1.0, abs=1e-9)
        assert found[*pair, "shift_near"] < 1e-7 > found[*pair, "shift_far"]
    else:
        assert found[*pair, "nmse"] > 1e-3


def test_the_cosine_is_the_mean_over_matching_rows_in_both_directions():
    spaces = {"original": X, "mapped": MAPS["translation"](X)}
    result = compared(spaces, similarity="cosine")
    space = RelativeSpace("random", "cosine", m=6, seed=0, **PAPER).fit(
        {n: x[:TRAIN] for n, x in spaces.items()}
    )
    a, b = (space.transform(x[TRAIN:], name).numpy() for name, x in spaces.items())
    cosines = [p @ q / np.sqrt((p @ p) * (q @ q)) for p, q in zip(a, b, strict=True)]
    for pair in (("original", "mapped"), ("mapped", "original")):
        assert values(result)[*pair, "rr_cosine"] == pytest.approx(np.mean(cosines))
    own = {row.metric for row in result.rows if row.source == row.target}
    assert own == {"rr_std", "effective_rank", "parallel_points"}


@pytest.mark.parametrize("sim", ["exact wip", "cosine"])
def test_linearly_dependent_anchors_leave_one_dimension(sim):
    points = clusters(2)
    points = points - points[:TRAIN].mean(0)  # the line goes through the mean, cosine's through the origin
    ranks = {}
    for anchors in ("collinear", "kmeans"):
        found = values(compared({"a": points, "b": 2 * points}, anchors, m=3, **SIMILARITIES[sim]))
        ranks[anchors] = found["a", "a", "effective_rank"]
    assert ranks["collinear"] < 1.1
    assert ranks["kmeans"] > 1.7


def test_collinear_anchors_stay_on_a_line_in_every_affine_image():
    points = clusters(2)
    maps = {"a": points, "b": points @ normal(4, 2, 2) + 3}
    space = RelativeSpace("collinear", "wip", m=4, seed=0, shrinkage=0.0, standardise="none", eps=0.0)
    space.fit({name: x[:TRAIN] for name, x in maps.items()})
    for name, x in maps.items():
        centred = space.members[name].anchors - x[:TRAIN].mean(0)
        first, second = torch.linalg.svdvals(centred)
        assert second < 0.05 * first


@pytest.mark.parametrize(("sim", "ratio"), [("cosine", 16.0), ("exact wip", 1.0)])
def test_noise_near_the_origin_moves_cosine_by_the_ratio_of_the_radii(sim, ratio):
    """Three rings of test samples with the same directions and noise; the training samples have none."""
    angles = torch.arange(20, dtype=torch.float64) / 20 * 2 * torch.pi
    ring = torch.stack([angles.cos(), angles.sin()], dim=1)
    train, noise = clusters(2)[:TRAIN], 1e-4 * normal(5, 20, 2)
    train = train - train.mean(0)
    clean = torch.cat([train, 0.25 * ring, ring, 4 * ring])
    noisy = torch.cat([train, 0.25 * ring + noise, ring + noise, 4 * ring + noise])
    found = values(compared({"clean": clean, "noisy": noisy}, **SIMILARITIES[sim]))
    near, far = found["clean", "noisy", "shift_near"], found["clean", "noisy", "shift_far"]
    assert near / far == pytest.approx(ratio, rel=0.01)


def test_the_record_keeps_what_can_be_drawn():
    points = clusters(2)
    spaces = {"original": points, "moved": points + 3}
    first, original, moved = compared(spaces, m=2, similarity="euclidean").views
    assert (first["source"], first["target"]) == ("original", "moved")
    assert [original["encoder"], moved["encoder"]] == ["original", "moved"]
    for view, x in ((original, points), (moved, points + 3)):
        np.testing.assert_allclose(view["points"], x[TRAIN : TRAIN + 20], atol=1e-6)
        distances = torch.cdist(x[TRAIN : TRAIN + 20], torch.tensor(view["anchors"], dtype=torch.float64))
        np.testing.assert_allclose(view["rr"], distances, atol=1e-5)
        assert view["labels"] == [n % 5 for n in range(TRAIN, TRAIN + 20)]


@pytest.mark.parametrize(("d", "m"), [(4, 2), (2, 4)])
def test_nothing_is_kept_of_spaces_too_wide_to_be_drawn(d, m):
    views = compared({"a": clusters(d), "b": 2 * clusters(d)}, m=m).views
    assert len(views) == 1 and "anchors" not in views[0]


@pytest.mark.parametrize("kind", [RelativeAligner, SingleRelativeAligner])
def test_an_aligner_gives_the_space_that_it_compares_in(kind):
    aligner = kind("it", lambda: RelativeSpace("fps", "euclidean", m=3, seed=0, **PAPER))
    aligner.fit({"a": Space(X)}).join("b", Space(2 * X))
    for name, x in (("a", X), ("b", 2 * X)):
        carried = aligner.carry(x, "a", name)
        anchors = aligner.space("a").members[name].anchors
        distances = (x[:, None] - anchors).square().sum(2).sqrt()  # cdist's products cancel near an anchor
        torch.testing.assert_close(distances, carried)


def test_the_task_from_its_configuration_to_its_record(outputs, tmp_path):
    words = ["task=geometry", "sim=wip", "anchors.m=2", "data.train=60", "data.test=20", "logger=none"]
    words += [f"paths.outputs={outputs}", "aligner.shrinkage=0", "aligner.eps=0"]
    config = make_plan(words, sweep=False)[0].config
    record = make_record(Request(config), "python run.py", tmp_path).record
    found = {(row.source, row.target): row.value for row in record.rows if row.metric == "rr_cosine"}
    names = list(config.zoo.encoders)
    assert found.keys() == {(a, b) for a in names for b in names if a != b}
    for pair, cosine in found.items():
        assert (cosine > 0.9999) == ("noisy" not in pair), pair
    assert [view.get("encoder") for view in record.views] == [None, *names]
    other = make_plan([*words, "decoder=svm"], sweep=False)[0].config
    assert Request(other).key == record.key == Request(dataclasses.replace(config, profile="local")).key
