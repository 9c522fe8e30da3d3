"""An experiment from the command line to its files, in a process of its own."""

import csv
import json
import shlex
from dataclasses import replace

import pytest
import yaml
from pydantic import ValidationError

from relrep_exp.app.closing import tables_of
from relrep_exp.app.plan import make_plan, spelled_out
from relrep_exp.config.load import of_profile
from relrep_exp.config.schema import ExperimentConfig, ProfileConfig
from relrep_exp.errors import UserError
from relrep_exp.store.files import CONF

TINY = [
    "~zoo.encoders.vit",
    "~zoo.encoders.resnet",
    "zoo.encoders.mlp.epochs=1",
    "zoo.encoders.gru.epochs=1",
    "anchors.epochs=1",
    "anchors.m=4",
    "seed=0",
    "logger=none",
]


def test_lines_along_the_support_set_in_the_local_profile(python_run, outputs):
    words = [*TINY, "aligner.support=20,60", "task.view_anchors=1", f"paths.outputs={outputs}"]
    done = python_run("experiment=fig4", "profile=local", *words)
    assert done.returncode == 0, done.stderr
    folder = outputs / "report" / "fig4-local"
    assert {path.name for path in folder.iterdir()} == {
        "experiment.json",
        *(f"table.{kind}" for kind in ("md", "csv", "tex")),
        *(f"figure.{kind}" for kind in ("png", "svg", "csv")),
    }
    table = {
        (row["aligner.support"], row["metric"], row["method"]): float(row["mean"])
        for row in csv.DictReader((folder / "table.csv").open())
    }
    drawn = {
        (row["x"], row["metric"], row["method"]): float(row["mean"])
        for row in csv.DictReader((folder / "figure.csv").open())
    }
    assert table == drawn and len(table) == 2 * 3 * 2
    records = [json.loads(path.read_text()) for path in (outputs / "records").glob("*.json")]
    assert len(records) == 4
    for record in records:
        values = [row["value"] for row in record["rows"] if row["metric"] == "mrr"]
        support = str(record["config"]["method"]["aligner"]["support"])
        assert table[support, "mrr", record["method"]] == sum(values) / len(values)
        [_, view] = record["views"]
        assert view["size"] == [8, 8] and len(view["effective_points"]) == 4
    assert "5 to 15 samples per dimension (d = 72" in (folder / "figure.svg").read_text()


def test_what_local_experiments_run():
    found = make_plan(["experiment=fig3", "profile=local", "seed=0"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in found} == {("vit", "resnet", "mlp")}
    assert {run.config.anchors.m for run in found} == {10, 30, 100, 300}
    paper = make_plan(["experiment=fig3", "seed=0", "anchors.m=10"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in paper} == {("vit_s", "rexnet", "vit_b")}
    for name, count in (("fig4", 2 * 6), ("table1", 4), ("table4", 3), ("anchors", 4)):
        runs = make_plan([f"experiment={name}", "profile=local", "seed=0"], sweep=False)
        assert len(runs) == count and {run.config.task.name for run in runs} == {"digits_stitch"}
        assert {run.config.runtime.threads for run in runs} == {1}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7])
def test_every_table_of_the_paper_has_a_local_form_on_one_thread_that_says_what_stands_in(number):
    values = yaml.safe_load((CONF / "experiment" / f"table{number}.yaml").read_text())["experiment"]
    assert values["paper"]["numbers"] == f"table{number}"
    local = values["profiles"]["local"]
    assert "stand in for" in local["note"] and "runtime.threads=1" in local["set"]
    assert {"task=digits_stitch", "zoo=slm_local", "zoo=text_local"} & set(local["set"])


def test_the_support_set_is_small_on_the_made_up_reviews_and_absolute_has_none():
    runs = make_plan(["experiment=table6", "profile=local"], sweep=False)
    supports = [getattr(run.config.aligner, "support", None) for run in runs]
    assert supports == [None, 1000, 1000, 1000]
    sources = make_plan(["experiment=table3", "profile=local"], sweep=False)[0].config
    assert of_profile(sources.experiment, "local")[0].sources == ["gpt2", "llama"]


def test_a_profile_may_show_encoders_of_its_own():
    forms = {"paper": ProfileConfig(encoders=["a", "b"]), "local": ProfileConfig()}
    shown = ExperimentConfig("x", "X", {"m": []}, encoders=["c", "d"], profiles=forms)
    assert [of_profile(shown, name)[0].encoders for name in forms] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"table": "axis", "metrics": ["mrr"]}, "x=None is none of its axes"),
        ({"figure": "lines", "metrics": ["mrr"], "x": "m", "axes": {"seed": [0]}}, "x=m is none of its axes"),
        ({"table": "metrics"}, "table=metrics with figure=samples needs metrics"),
        ({"figure": "lines", "x": "m", "axes": {"m": [1]}}, "needs metrics"),
    ],
)
def test_an_experiment_has_what_it_shows(values, told):
    with pytest.raises(ValidationError, match=told):
        ExperimentConfig("x", "X", {"m": []}, **values)


def test_what_a_profile_sets_stands_before_the_words_of_the_user_who_has_the_last_one():
    words = ["experiment=fig3", "profile=local", "zoo.encoders.mlp.epochs=1"]
    assert spelled_out(words) == ["task=digits_stitch", "~zoo.encoders.gru", *words]
    assert spelled_out([*words, "task=cifar_stitch"])[0] == "~zoo.encoders.gru"
    with pytest.raises(UserError, match="has no such form"):
        spelled_out(["experiment=fig3", "profile=locl"])


@pytest.mark.parametrize("name", ["demo", "fig1", "fig3", "fig5", "table1", "anchors"])
@pytest.mark.parametrize("profile", ["local", "paper"])
def test_the_command_of_a_run_makes_the_same_run_outside_its_experiment(name, profile):
    run = make_plan([f"experiment={name}", f"profile={profile}", "seed=0"], sweep=False)[-1]
    words = shlex.split(run.command)[2:]
    assert not [word for word in words if word.startswith(("experiment", "profile"))]
    [alone] = make_plan(words, sweep=False)
    assert replace(alone.config, experiment=None, profile="paper") == replace(
        run.config, experiment=None, profile="paper"
    )


@pytest.mark.parametrize("word", ["profile=local,paper", "experiment.metric=mrr,nmse"])
def test_one_form_at_a_time(word):
    with pytest.raises(UserError, match=f"several experiments or profiles in {word}"):
        make_plan(["experiment=fig5", word], sweep=True)


def test_a_method_can_be_left_out():
    runs = make_plan(["experiment=demo", "~experiment.methods.param-wip", "seed=0"], sweep=False)
    assert len(runs) == 4 and "param-wip" not in {run.arm.method for run in runs}


def test_what_the_experiment_does_not_draw_along_has_tables_of_its_own(words):
    more = ["experiment=demo", "+experiment.axes.sim=[cosine,wip]", "experiment.axes.seed=[0,1]"]
    runs = make_plan([*words, *more], sweep=False)
    experiment = runs[0].config.experiment
    tables = tables_of(runs, experiment)
    assert {title: len(members) for title, members in tables.items()} == {
        "sim=cosine": 5 * 2,
        "sim=wip": 5 * 2,
    }
    assert tables_of(runs, replace(experiment, x="sim")).keys() == {""}


def test_the_configuration_that_is_shown_is_that_of_the_form(python_run):
    done = python_run("--cfg", "job", "experiment=fig5", "profile=local", "zoo.anisotropy=10")
    assert done.returncode == 0, done.stderr
    assert "anisotropy: 10" in done.stdout and "name: mnist_ae" in done.stdout
