"""An experiment that names what there is not: one message, before any run, and nothing is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relrep_exp.app.plan import check_experiment
from relrep_exp.config.schema import ExperimentConfig, PaperConfig
from relrep_exp.errors import UserError

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
WRONG = [
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
]


@pytest.mark.parametrize(("changes", "what", "remedy"), WRONG)
def test_what_is_wrong_is_told_with_what_there_is(changes, what, remedy):
    check_experiment(RIGHT, KNOWN)
    with pytest.raises(UserError) as found:
        check_experiment(replace(RIGHT, **changes), KNOWN)
    [problem] = found.value.problems
    assert problem.what == f"experiment=mine: {what}" and remedy in problem.remedy


def test_names_in_a_file_of_embeddings_are_not_known_before_it_is_read():
    check_experiment(replace(RIGHT, sources=["whatever"]), {"seed", "anchors.m", "zoo", "zoo.encoders"})


def test_a_command_line_tells_everything_at_once_before_any_run(told, outputs):
    words = [
        "+experiment.sources=[gpt2]",
        "+experiment.paper={numbers: x, data: y}",
        "+experiment.vary={z: [1]}",
    ]
    code, out, err = told("experiment=demo", *words, f"paths.outputs={outputs}")
    assert (code, out) == (2, "") and not outputs.exists()
    assert err.count("error: experiment=demo: ") == err.count("error:") == 3
