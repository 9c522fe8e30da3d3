"""From words to runs: several experiments, keys that some methods have, and names that there are not."""

import re
import shlex
from dataclasses import replace

import pytest
import yaml

from relrep_exp.app.closing import tables_of
from relrep_exp.app.plan import check_experiment, distinct, make_parts, make_plan, spelled_out
from relrep_exp.config.compose import Composer
from relrep_exp.config.overrides import parse
from relrep_exp.config.schema import ExperimentConfig, PaperConfig
from relrep_exp.errors import UserError
from relrep_exp.store.files import CONF

UNLEARNED = ["seed=0", "~experiment.methods.param-wip", "~experiment.methods.param_single-wip"]


def test_several_experiments_have_each_run_once():
    words = ["experiment=demo,table1", "profile=local", "seed=0", "decoder=linear"]
    parts = make_parts(parse(words), sweep=False)
    assert [part.folder for part in parts] == ["demo", "table1-local"]
    assert [part.experiment.name for part in parts] == ["demo", "table1"]
    assert [len(part.runs) for part in parts] == [5, 4]
    runs = distinct(run for part in parts for run in part.runs)
    assert [run.key for run in runs] == [run.key for run in parts[0].runs]
    assert parts[1].command == "python run.py experiment=table1 profile=local seed=0 decoder=linear"
    apart = make_parts(parse(words[:-1]), sweep=False)  # the demo has a head of its own
    assert not {run.key for run in apart[0].runs} & {run.key for run in apart[1].runs}


@pytest.mark.slow
def test_all_is_every_experiment_that_has_the_form():
    listed = yaml.safe_load((CONF / "experiment" / "all.yaml").read_text())["experiments"]
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "experiment").glob("*.yaml")}
    whole = {name for name, content in files.items() if "experiment" in content}  # the others are collections
    assert set(listed) == whole and len(listed) == len(whole)
    with Composer() as composer:
        named = composer.experiments(parse(["seed=0", "experiment=all", "profile=local"]))
    local = [name for name in listed if "local" in files[name]["experiment"].get("profiles", {})]
    assert list(named) == local and len(local) >= 9
    words = [[str(word.input_line) for word in own] for own in named.values()]
    assert words == [["seed=0", f"experiment={name}", "profile=local"] for name in local]


@pytest.mark.slow
def test_two_experiments_in_one_command_share_their_runs_and_both_close(told, small, outputs):
    words = [*small, "decoder=linear", *UNLEARNED]
    code, out, err = told("experiment=demo,table1", *words)
    assert code == 0, err
    assert "3 records in" in out and len(list((outputs / "records").glob("*.json"))) == 3
    for name in ("demo", "table1"):
        files = {path.name for path in (outputs / "report" / name).iterdir()}
        assert {"table.csv", "figure.png", "experiment.json"} <= files
    folders = list((outputs / "runs").rglob("*"))
    code, again, err = told("experiment=table1,demo", *words)
    assert code == 0, err
    assert "3 records in" in again and len(re.findall(r"^#\d .*cached$", again, re.M)) == 3
    assert list((outputs / "runs").rglob("*")) == folders


@pytest.mark.parametrize(
    ("name", "profile"), [("fig3", "local"), ("fig5", "local"), ("table1", "paper"), ("anchors", "paper")]
)
def test_the_command_of_a_run_makes_the_same_run_outside_its_experiment(name, profile):
    run = make_plan([f"experiment={name}", f"profile={profile}", "seed=0"], sweep=False)[-1]
    words = shlex.split(run.command)[2:]
    assert not [word for word in words if word.startswith(("experiment", "profile"))]
    [alone] = make_plan(words, sweep=False)
    assert replace(alone.config, experiment=None, profile="paper") == replace(
        run.config, experiment=None, profile="paper"
    )


def test_what_a_profile_sets_stands_before_the_words_of_the_user_who_has_the_last_one(told):
    words = ["experiment=fig3", "profile=local", "zoo.encoders.mlp.epochs=1"]
    assert spelled_out(words) == [
        "task=digits_stitch",
        "~zoo.encoders.gru",
        "task.test_encoders=[resnet]",
        *words,
    ]
    assert spelled_out([*words, "task=cifar_stitch"])[0] == "~zoo.encoders.gru"
    with pytest.raises(UserError, match="has no such form"):
        spelled_out(["experiment=fig3", "profile=locl"])
    code, out, err = told("--cfg", "job", "experiment=fig5", "profile=local", "zoo.anisotropy=10")
    assert code == 0, err
    assert "anisotropy: 10" in out and "name: mnist_ae" in out


def test_a_key_that_some_methods_have_is_set_in_those(words):
    words = ["experiment=demo", *words, "seed=0"]
    runs = make_plan([*words, "aligner.statistics=support"], sweep=False)
    asked = {run.arm.method: "aligner.statistics=support" in run.overrides for run in runs}
    assert asked == {method: method != "absolute" for method in asked} and len(asked) == 5
    assert {run.config.aligner.statistics for run in runs if run.arm.method != "absolute"} == {"support"}
    swept = make_plan([*words, "aligner.support=20,30"], sweep=False)
    assert len(swept) == 10 and len({run.key for run in swept}) == 9  # absolute stands at both values
    with pytest.raises(UserError, match=r"aligner\.suport is not a key"):
        make_plan([*words, "aligner.suport=20"], sweep=False)


def test_what_the_experiment_does_not_draw_along_has_tables_of_its_own(words):
    more = ["experiment=demo", "+experiment.axes.sim=[cosine,wip]", "experiment.axes.seed=[0,1]"]
    runs = make_plan([*words, *more, *UNLEARNED[1:]], sweep=False)
    experiment = runs[0].config.experiment
    tables = {title: len(members) for title, members in tables_of(runs, experiment).items()}
    assert tables == {"sim=cosine": 3 * 2, "sim=wip": 3 * 2}
    assert tables_of(runs, replace(experiment, x="sim")).keys() == {""}


# What there is not

KNOWN = {
    "seed",
    "anchors",
    "anchors.m",
    "zoo",
    "zoo.encoders.vit",
    "zoo.encoders.vit.dim",
    "zoo.encoders.gru",
}
RIGHT = ExperimentConfig(
    "mine",
    "Mine",
    {"x": []},
    axes={"seed": [0]},
    vary={"anchors.m": [1]},
    encoders=["vit", "gru"],
    sources=["vit"],
    paper=PaperConfig("table1", "cifar100"),
)
NO_KEY, NO_ENCODER = "which no run has", "which is no encoder of the zoo"


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"axes": {"anchors.n": [1]}}, f"axes names anchors.n, {NO_KEY}", "did you mean anchors.m"),
        ({"vary": {"anchor": [1]}}, f"vary names anchor, {NO_KEY}", "did you mean anchors"),
        ({"vary_of": {"x": {"lr": [1]}}}, f"vary_of.x names lr, {NO_KEY}", "python run.py --cfg job"),
        ({"encoders": ["vit", "gruu"]}, f"encoders names gruu, {NO_ENCODER}", "did you mean gru"),
        ({"test_encoders": ["dim"]}, f"test_encoders names dim, {NO_ENCODER}", "gru, vit"),
        ({"sources": ["mlp"]}, f"sources names mlp, {NO_ENCODER}", "gru, vit"),
        (
            {"paper": PaperConfig("table5", "x")},
            "the paper has no numbers called table5",
            "table1, table2, table3, table4, table6, table7",
        ),
    ],
)
def test_names_that_there_are_not_are_told_with_those_that_there_are(changes, what, remedy):
    check_experiment(RIGHT, KNOWN)
    with pytest.raises(UserError) as found:
        check_experiment(replace(RIGHT, **changes), KNOWN)
    [problem] = found.value.problems
    assert problem.what == f"experiment=mine: {what}" and remedy in problem.remedy


def test_names_in_a_file_of_embeddings_are_not_known_before_it_is_read():
    check_experiment(replace(RIGHT, sources=["whatever"]), {"seed", "anchors.m", "zoo", "zoo.encoders"})


def test_a_command_line_tells_everything_at_once_before_any_run(told, outputs):
    words = ["+experiment.sources=[gpt2]", "+experiment.paper={numbers: x, data: y}"]
    words += ["+experiment.vary={z: [1]}", *UNLEARNED]
    code, out, err = told("experiment=demo", *words, f"paths.outputs={outputs}")
    assert (code, out) == (2, "") and not outputs.exists()
    assert err.count("error: experiment=demo: ") == err.count("error:") == 3


def test_a_word_that_does_not_fit_is_told_with_the_experiment_that_it_does_not_fit():
    with pytest.raises(UserError) as refused:
        make_plan(["experiment=fig5,fig2", "profile=local", "zoo.anisotropy=10", "seed=-1"], sweep=False)
    both, own = sorted((problem.what for problem in refused.value.problems), reverse=True)
    assert both.startswith("seed=-1")
    assert own.startswith("experiment=fig2: zoo.anisotropy is not a key")
    with pytest.raises(UserError, match=r"experiment=demmo: there is no such choice"):
        make_plan(["experiment=demmo,table1"], sweep=False)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["hydra/launcher=basic,joblib"], "several values in hydra/launcher=basic,joblib"),
        (
            ["experiment=fig5", "profile=local,paper"],
            "several experiments or profiles in profile=local,paper",
        ),
        (
            ["experiment=fig5", "experiment.metric=mrr,nmse"],
            "several experiments or profiles in experiment.m",
        ),
    ],
)
def test_launcher_and_form_are_not_swept_over(words, more, what):
    with pytest.raises(UserError, match=what):
        make_plan(more if "experiment=fig5" in more else [*words, *more], sweep=True)
