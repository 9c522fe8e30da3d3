"""Choices that the paper leaves open: keys whose defaults change nothing, in the right cache keys."""

import pytest
import torch

from relrep_exp.alignment.anchors import WhitenedSpace
from relrep_exp.alignment.param.learn import Param, ParamModule, ParamSettings
from relrep_exp.alignment.whitening import Whitening
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
from relrep_exp.errors import UserError
from relrep_exp.store.keys import is_key
from relrep_exp.training.seeding import generator

# key -> its default, another value, and whether P of the method is another one then
CHOICES = {
    "aligner.statistics": ("param", "train", "support", False),
    "anchors.learned_on": ("param_single", "decoder", "first", False),
    "anchors.init_std": ("param", "1.0", "0.3", True),
    "anchors.pairs": ("param", "support", "all", True),
    "decoder.scaling": ("param", "std", "per_feature", False),
}


def rows(outcome):
    return {(r.source, r.target, r.metric): r.value for r in outcome.record.rows}


def fits(outputs):
    """Keys of what was learned."""
    return {path.name for path in (outputs / "checkpoints").iterdir() if is_key(path.name)}


@pytest.mark.parametrize("key", CHOICES)
def test_a_choice_changes_what_it_says_and_only_that(run, config_of, outputs, key):
    method, default, other, learns = CHOICES[key]
    words = [f"anchors={method}", "anchors.epochs=2", "aligner.support=40", "decoder=mlp", "decoder.epochs=2"]
    words += ["aligner.standardise=none"]  # which leaves a decoder nothing to scale
    assert Request(config_of(*words, f"{key}={default}")).key == Request(config_of(*words)).key
    base = run(*words)
    learned = fits(outputs)
    changed = run(*words, f"{key}={other}")
    assert changed.fresh and changed.record.key != base.record.key
    assert len(learned) == 3 and (fits(outputs) == learned) == (not learns)
    before, after = rows(base), rows(changed)
    assert before.keys() == after.keys() and before != after
    moved = {
        metric.removesuffix("_se") for (*_, metric), value in before.items() if after[*_, metric] != value
    }
    assert (moved <= {"f1_weighted", "accuracy"}) == (key == "decoder.scaling")


def test_logits_start_from_a_normal_distribution_of_that_width():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    whitening = Whitening.fit(x)
    spaces = {"a": WhitenedSpace(x, whitening)}
    drawn = torch.randn(5, 20, generator=generator(3, "param logits"))
    for std in (1.0, 0.25):
        module = ParamModule(spaces, torch.arange(20), 5, 3, Param(ParamSettings(init_std=std)))
        assert torch.equal(module.logits.detach(), std * drawn)


@pytest.fixture(scope="module")
def sensitivity():
    """Its runs on the digits for one seed, with the keys of their records."""
    runs = make_plan(["experiment=sensitivity", "profile=local", "seed=0"], sweep=False)
    return [(run.arm.method, run.arm.varied, Request(run.config).key) for run in runs]


@pytest.mark.slow
def test_every_key_is_varied_around_the_default_which_is_among_its_values(sensitivity):
    base = {method: key for method, varied, key in sensitivity if varied is None}
    assert base.keys() == {"param-wip", "param_single-wip", "param-wip-k256"}
    groups = {}
    for method, varied, key in sensitivity:
        if varied is not None:
            groups.setdefault((method, varied[0]), []).append(key)
    for (method, name), keys in groups.items():
        assert 2 <= len(set(keys)) == len(keys) <= 5, name
        assert keys.count(base[method]) == 1, name
    hyperparameters = {one for _, one in groups if one.startswith(("anchors.", "aligner."))}
    table_5 = {f"anchors.{name}_weight" for name in ("nce", "coverage", "orthogonality", "length")}
    table_5 |= {f"anchors.{name}" for name in ("temperature", "nce_temperature", "coverage_temperature")}
    table_5 |= {"anchors.epochs", "anchors.lr", "anchors.batch", "anchors.m", "anchors.init_std"}
    table_5 |= {"anchors.start"}
    table_5 |= {"aligner.support", "aligner.shrinkage", "aligner.eps"}
    assert hyperparameters == table_5 | {"anchors.learned_on", "anchors.pairs", "aligner.statistics"}
    assert {one for _, one in groups} - hyperparameters == {"anchors", "decoder", "decoder.scaling"}
    own = {m: [v for n, v, _ in sensitivity if n == m and v] for m in ("param_single-wip", "param-wip-k256")}
    assert own == {  # a method with variations of its own has no others
        "param_single-wip": [("anchors.learned_on", "decoder"), ("anchors.learned_on", "first")],
        "param-wip-k256": [
            ("aligner.statistics", "train"),
            ("aligner.statistics", "support"),
            ("anchors.pairs", "all"),
            ("anchors.pairs", "support"),
        ],
    }
    keys = {(method, varied): key for method, varied, key in sensitivity}  # some need no run of their own
    assert keys["param-wip", ("anchors", "param_single")] == base["param_single-wip"]
    assert keys["param-wip", ("aligner.support", 5000)] == base["param-wip"]


def test_variations_of_a_method_that_there_is_not_are_told():
    with pytest.raises(UserError, match="none of its methods: param-vip"):
        make_plan(["experiment=demo", "+experiment.vary_of={param-vip:{anchors.m:[3,4]}}"], sweep=False)


def test_a_variation_follows_what_the_user_sets_for_the_experiment():
    words = ["experiment=demo", "seed=0", "+experiment.vary={aligner.support:[100,5000]}"]
    words += ["+experiment.vary_of={absolute:{decoder.C:[1]}}", "experiment.metric=accuracy"]
    runs = make_plan(words, sweep=False)
    assert len(runs) == 5 + 4 * 2 + 1
    assert {run.config.experiment.metric for run in runs} == {"accuracy"}
    supports = [run.config.aligner.support for run in runs if run.arm.method == "param-wip"]
    assert supports == [5000, 100, 5000]
