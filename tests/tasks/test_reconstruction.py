"""Stitching of autoencoders: which numbers there are, what they mean, and that nothing leaks."""

import math
from dataclasses import replace

import pytest
import torch
from works import measured

from relrep_exp.alignment.aligner import AbsoluteAligner, RelativeAligner
from relrep_exp.alignment.relative import RelativeSpace
from relrep_exp.config.schema import ConvConfig, ReconstructionTask
from relrep_exp.data.image_samples import ArrayImages
from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.report.figures.style import pixels
from relrep_exp.tasks import reconstruction
from relrep_exp.tasks.measure import DECODERS

N, TRAIN, DIM = 90, 60, 3
TASK = ReconstructionTask(name="ae", kind="reconstruction", neighbours=5, view_samples=8)


def images():
    """Mixtures of three patterns, so that three dimensions of an encoder hold all that there is to draw."""
    g = torch.Generator().manual_seed(0)
    mixed = torch.randn(N, 3, generator=g) @ torch.randn(3, 36, generator=g)
    return (255 * torch.sigmoid(mixed)).to(torch.uint8).view(N, 1, 6, 6)


def embeddings(pictures):
    """Three encoders: a projection of the pixels, an invertible affine map of it, and another projection."""
    g = torch.Generator().manual_seed(1)
    pixel_rows = pictures.flatten(1).float() / 255
    a = pixel_rows @ torch.randn(36, DIM, generator=g)
    b = a @ torch.randn(DIM, DIM, generator=g) + 4.0
    c = pixel_rows @ torch.randn(36, DIM, generator=g)
    split = torch.arange(N) < TRAIN
    corpora = {name: Corpus(x, split, torch.arange(N) % 3) for name, x in zip("abc", (a, b, c), strict=True)}
    return Embeddings(corpora, corpora, dict.fromkeys("abc", "key"))


class LeastSquares:
    """A decoder in closed form, which does what the trained ones do on these images, in no time."""

    def __init__(self, x, pictures):
        targets = pictures.flatten(1).double() / 255
        self.weights = torch.linalg.lstsq(self.features(x), targets, rcond=1e-4, driver="gelsd").solution

    def features(self, x):
        return torch.cat([x.double(), x.new_ones(len(x), 1).double()], dim=1)

    def draw(self, x):
        return (self.features(x) @ self.weights).float().clamp(0, 1).view(-1, 1, 6, 6)


class Watched:
    """A run whose decoders' training data can be looked at afterwards."""

    def __init__(self, found, pictures, sim="wip", task=TASK, kind="relative"):
        self.seen = []

        def fit(name, x, drawn):
            self.seen.append((name, x, drawn))
            return LeastSquares(x, drawn)

        def relative():
            space = lambda: RelativeSpace("random", sim, m=8, shrinkage=0.0, eps=0.0)  # noqa: E731
            return RelativeAligner(f"random-{sim}", space)

        make = relative if kind == "relative" else AbsoluteAligner
        found = replace(found, images=ArrayImages(pictures[:, 0].numpy()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reconstruction, "own_decoders", lambda work: {})
            patch.setitem(DECODERS.functions, "conv", lambda work: fit)
            self.result = measured(found, make, task=task, decoder=ConvConfig(name="conv"))

    def value(self, source, target, metric):
        [value] = [r.value for r in self.result.rows if r[:2] == (source, target) and r.metric == metric]
        return value


@pytest.fixture(scope="module")
def pictures():
    return images()


@pytest.fixture(scope="module")
def run(pictures):
    return Watched(embeddings(pictures), pictures)


def test_every_ordered_pair_is_measured(run):
    drawn = {(r.source, r.target) for r in run.result.rows if r.metric == "mse"}
    assert drawn == {(source, target) for source in "abc" for target in "abc"}
    assert all(math.isfinite(row.value) for row in run.result.rows)
    for metric in ("psnr", "ssim", "own_mse"):
        assert len([r for r in run.result.rows if r.metric == metric]) == 9
    assert run.value("a", "a", "mse") == run.value("a", "a", "own_mse")


def test_an_affine_copy_is_drawn_as_well_as_the_original_through_wip_and_not_through_cosine(run, pictures):
    """With lambda = eps = 0 the relative representations are the same (Appendix B), so the images are."""
    assert run.value("a", "b", "mse") == pytest.approx(run.value("a", "b", "own_mse"), rel=1e-3)
    cosine = Watched(embeddings(pictures), pictures, sim="cosine")
    assert cosine.value("a", "b", "mse") > 2 * cosine.value("a", "b", "own_mse")


def test_decoders_see_training_rows_only(run, pictures):
    for name, x, drawn in run.seen:
        assert (len(x), name in "abc") == (TRAIN, True)
        assert torch.equal(drawn, pictures[:TRAIN])
    changed = pictures.clone()
    changed[TRAIN:] = 255 - changed[TRAIN:]
    again = Watched(embeddings(changed), changed)
    for (_, x, _), (_, other, _) in zip(run.seen, again.seen, strict=True):
        assert torch.equal(x, other)


def test_of_the_test_encoder_others_decoders_see_nothing(run, pictures):
    found = embeddings(pictures)
    shifted = {**found.paired, "c": Corpus(found.paired["c"].x ** 3, found.paired["c"].is_train)}
    again = Watched(Embeddings(shifted, shifted, found.keys), pictures)
    held_out = {"a": 0, "b": 1}  # places of the decoders for target c among each encoder's three
    for name in held_out:
        mine, theirs = ([x for n, x, _ in w.seen if n == name][2] for w in (run, again))
        assert torch.equal(mine, theirs)


def test_absolute_draws_from_the_own_encoder_alone(pictures):
    alone = Watched(embeddings(pictures), pictures, kind="absolute")
    drawn = {(r.source, r.target) for r in alone.result.rows if r.metric == "mse"}
    assert drawn == {("a", "a"), ("b", "b"), ("c", "c")}


def test_some_test_encoders_can_be_asked_for_alone(pictures):
    task = ReconstructionTask(name="ae", kind="reconstruction", view_samples=8, test_encoders=["c"])
    alone = Watched(embeddings(pictures), pictures, task=task)
    assert {r.target for r in alone.result.rows} == {"c"}
    assert {r.source for r in alone.result.rows} == {"a", "b", "c"}


def test_the_record_shows_the_very_images(run, pictures):
    views = [view for view in run.result.views if view.get("kind") == "reconstructions"]
    assert [(view["source"], view["target"]) for view in views] == [("b", "a"), ("a", "b"), ("a", "c")]
    first_of_each_class = pictures[TRAIN : TRAIN + 3, 0]  # 60 is a multiple of three
    assert (
        pixels(views[0]["images"]["original"]) == first_of_each_class.permute(1, 0, 2).flatten(1).numpy()
    ).all()
    assert pixels(views[0]["images"]["stitched"]).shape == (6, 18)


def test_the_latents_view_has_the_first_and_the_middle_principal_axis(run, pictures):
    [view] = [view for view in run.result.views if view.get("kind") == "latents"]
    latents = embeddings(pictures).paired["a"].x.double()
    train, test = latents[:TRAIN], latents[TRAIN:]
    centred = test - train.mean(0)
    _, singular, axes = torch.linalg.svd(train - train.mean(0))
    std = singular / (TRAIN - 1) ** 0.5
    assert torch.allclose(torch.tensor(view["std"], dtype=torch.float64), std, rtol=1e-4)
    assert view["axes"] == [1, 2]  # of three
    axes = axes[[0, 1]]
    assert torch.allclose(torch.tensor(view["points"]).double().abs(), (centred @ axes.T).abs(), atol=1e-3)
