"""Experiments as their files have them: forms, what they show, and one from the command line to its files."""

import csv
import json

import pytest
import yaml
from pydantic import ValidationError

from relrep_exp.app.plan import make_plan
from relrep_exp.config.load import of_profile
from relrep_exp.config.schema import ExperimentConfig, ProfileConfig
from relrep_exp.store.files import CONF


@pytest.mark.slow
def test_lines_along_the_support_set_in_the_local_profile(told, outputs):
    words = ["~zoo.encoders.vit", "~zoo.encoders.resnet", "zoo.encoders.mlp.epochs=1", "seed=0"]
    words += ["zoo.encoders.gru.epochs=1", "anchors.epochs=1", "anchors.m=4", "logger=none"]
    words += ["aligner.support=20,60", "task.view_anchors=1", f"paths.outputs={outputs}"]
    code, _, err = told("experiment=fig4", "profile=local", *words)
    assert code == 0, err
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


@pytest.mark.slow
def test_what_local_experiments_run():
    found = make_plan(["experiment=fig3", "profile=local", "seed=0"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in found} == {("vit", "resnet", "mlp")}
    assert {run.config.anchors.m for run in found} == {10, 30, 100, 300}
    assert len({run.place for run in found}) == 1 + 4 * 4  # the ceiling is the same at every m
    paper = make_plan(["experiment=fig3", "seed=0", "anchors.m=10"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in paper} == {("vit_s", "rexnet", "vit_b")}
    runs = make_plan(["experiment=table6", "profile=local"], sweep=False)
    supports = [getattr(run.config.aligner, "support", None) for run in runs]
    assert supports == [None, 1000, 1000, 1000]  # small on the made-up reviews


@pytest.mark.parametrize("profile", ["paper", "local"])
@pytest.mark.parametrize("name", ["table4", "fig3"])
@pytest.mark.slow
def test_the_ablation_has_two_sources_and_one_held_out_target(name, profile):
    """Section 7, with the metrics that it names."""
    run, *_ = make_plan([f"experiment={name}", f"profile={profile}", "seed=0"], sweep=False)
    [target], (shown, _) = run.config.task.test_encoders, of_profile(run.config.experiment, profile)
    assert len(run.config.zoo.encoders) == 3 and target in run.config.zoo.encoders
    assert shown.metrics == [*(["accuracy"] if name == "fig3" else []), "mrr", "nmse", "rr_std"]
    assert shown.encoders[1:] == ([] if name == "fig3" else [target])


@pytest.mark.parametrize("profile", ["paper", "local"])
@pytest.mark.slow
def test_figure_5_tells_scaling_and_shift_apart_and_shows_ae1s_decoder_on_ae4(profile):
    runs = make_plan(["experiment=fig5", f"profile={profile}", "seed=0"], sweep=False)
    zoos = {run.config.zoo.name: run.config.zoo for run in runs}
    maps = {name: (zoo.anisotropy, zoo.shift > 0) for name, zoo in zoos.items() if zoo.anisotropy > 1}
    assert maps == {"autoencoders_scaled": (100, False), "autoencoders": (100, True)}
    assert zoos.keys() - maps.keys() == {"autoencoders_plain"}
    for run in runs:
        assert (run.config.experiment.encoders, run.config.task.test_encoders) == (["ae1", "ae4"], ["ae4"])


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7])
def test_every_table_of_the_paper_has_a_local_form_on_one_thread_that_says_what_stands_in(number):
    values = yaml.safe_load((CONF / "experiment" / f"table{number}.yaml").read_text())["experiment"]
    assert values["paper"]["numbers"] == f"table{number}"
    local = values["profiles"]["local"]
    assert "stand in for" in local["note"] and "runtime.threads=1" in local["set"]
    assert {"task=digits_stitch", "zoo=slm_local", "zoo=text_local"} & set(local["set"])


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
