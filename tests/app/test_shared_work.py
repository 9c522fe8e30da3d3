"""What a plan knows of what its runs share, without loading anything."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from relrep_exp.app.plan import make_plan
from relrep_exp.app.status import param_fits, reuse
from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders import precomputed
from relrep_exp.encoders.embed import embed_all
from relrep_exp.tasks import work
from relrep_exp.training.device import Runtime

SWEPT = ["anchors=param,param_single", "anchors.epochs=1", "decoder=linear,svm", "seed=0,1"]


def embedded(request):
    """The embeddings of a run."""
    for data in request.samples:
        data.load(request.views)
    runtime = Runtime.of(request.config.runtime)
    return embed_all(request.config, request.encoders, request.samples, runtime, request.missing)


def shared(out):
    """What a plan says is shared."""
    return next(
        (line.removeprefix("shared: ").split("; ") for line in out.splitlines() if "shared" in line), []
    )


def test_the_plan_says_what_is_shared_and_what_of_it_is_there(any_run, told, small, monkeypatch):
    monkeypatch.setattr(work, "KEPT_FROM_GFLOP", 0.0)
    code, out, _ = told("plan", "-m", *small, *SWEPT)
    assert code == 0  # by seed a P for each of three test encoders, and one on each of three encoders
    assert shared(out) == [
        "12 PARAM fits by 8 runs",
        "3 encoders' statistics, if large, by 8 runs",
    ]
    any_run("anchors=param", "anchors.epochs=1")
    _, out, _ = told("plan", "-m", *small, *SWEPT)
    there = [
        "12 PARAM fits by 7 runs (3 there already)",
        "3 encoders' statistics, if large, by 7 runs (3 there already)",
    ]
    assert shared(out)[:2] == there
    _, out, _ = told("plan", "-m", *small, *SWEPT, "overwrite=always")
    assert shared(out) == [
        "12 PARAM fits by 8 runs",
        "3 encoders' statistics, if large, by 8 runs",
    ]


@pytest.mark.parametrize(
    ("anchors", "more", "fits"),
    [
        ("param", (), [["b", "c"], ["a", "c"], ["a", "b"]]),
        ("param", ("task.test_encoders=[b]",), [["a", "c"]]),
        ("param_single", (), [["a"], ["b"], ["c"]]),
        ("param_single", ("task.test_encoders=[b]",), [["a"], ["b"], ["c"]]),
        ("param_single", ("anchors.learned_on=first",), [["b"], ["a"], ["a"]]),
    ],
)
def test_the_plan_knows_the_fits_of_a_run(small, anchors, more, fits):
    [asked] = make_plan([*small, f"anchors={anchors}", *more], sweep=False)
    assert list(param_fits(asked.config, "abc")) == fits


def test_a_run_makes_the_fits_that_the_plan_knows(any_run, small):
    for more in (["task.test_encoders=[b]"], ["anchors.learned_on=first"]):
        words = ["anchors=param_single", "anchors.epochs=1", *more]
        [asked] = make_plan([*small, *words, "decoder=linear"], sweep=False)
        [param] = [kind for kind in reuse([asked]) if kind.kind == "checkpoints"]
        any_run(*words)
        assert param.there == len(param.places)


def test_what_is_not_here_is_told_apart_by_its_configuration(told, small, tmp_path):
    gone = [word for word in small if not word.startswith("zoo.path")]
    gone += [f"zoo.path={tmp_path}/no.npz", "zoo.encoders=[a,b,c]"]
    code, out, _ = told("plan", "-m", *gone, *SWEPT)
    assert code == 0 and shared(out)[0] == "12 PARAM fits by 8 runs"
    _, out, _ = told("plan", "-m", *gone[:-1], *SWEPT)
    assert not any("PARAM" in needed for needed in shared(out))


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_the_names_of_embeddings_are_known_without_reading_them(arrays, tmp_path, suffix):
    path, shuffled = tmp_path / f"mine.{suffix}", dict(reversed(arrays.items()))
    if suffix == "npz":
        np.savez(path, **shuffled)
    else:
        save_file(shuffled, path, metadata={"made": "here"})
    for encoders in (None, ["c", "a"]):
        zoo = PrecomputedZoo(kind="precomputed", path=str(path), encoders=encoders)
        known = precomputed.keys(zoo)
        assert list(known.items()) == list(precomputed.load(zoo).keys.items())


def test_the_names_of_made_up_embeddings_are_known(outputs):
    words = [
        "task=geometry",
        "runtime.device=cpu",
        f"paths.outputs={outputs}",
    ]
    [asked] = make_plan(words, sweep=False)
    request = asked.request
    known = request.embedding_keys(request.paired)
    embeddings = embedded(request)
    assert dict(known) == dict(embeddings.keys)
    [kept] = [kind for kind in reuse([asked]) if kind.kind == "embeddings"]
    assert kept.there == len(embeddings.keys)


def test_the_embeddings_of_paired_samples_and_of_the_tasks_own_are_known(outputs, tmp_path):
    for language in ("de", "en"):
        (tmp_path / f"{language}.txt").write_text("".join(f"{language} line {n}\n" for n in range(40)))
    words = ["task=marc_stitch", "data=template_reviews", "data.train=60", "data.test=20", "zoo=lsa"]
    words += ["parallel=files", f"parallel.root={tmp_path}", "parallel.use=always"]
    words += [f"~zoo.encoders.{name}" for name in ("es", "fr", "zh")]
    words += ["zoo.encoders.de.dim=6", "zoo.encoders.en.dim=5"]
    [asked] = make_plan([*words, "runtime.device=cpu", f"paths.outputs={outputs}"], sweep=False)
    request = asked.request
    known = request.embedding_keys(request.own)
    embeddings = embedded(request)
    assert dict(known) == dict(embeddings.task_keys)
    kept = next(kind for kind in reuse([asked]) if kind.kind == "embeddings")
    names = {*embeddings.keys.values(), *embeddings.task_keys.values()}
    assert {place.name for place in kept.places} == names and kept.there == len(names) == 4


def test_images_that_are_resized_elsewhere_have_embeddings_of_their_own(outputs):
    words = ["task=cifar_stitch", "runtime.resize=worker,device", f"paths.outputs={outputs}"]
    kinds = reuse(make_plan(words, sweep=True))
    kept = next(kind for kind in kinds if kind.kind == "embeddings")
    assert len(kept.places) == 2 * 4  # of as many encoders
