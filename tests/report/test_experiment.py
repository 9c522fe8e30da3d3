"""What lands on disk: the files of an experiment."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.experiment import FILE, Closing, experiment_table, write_experiment
from relrep_exp.report.render.formats import to_csv, to_latex, to_markdown
from relrep_exp.report.tables.points import Place

from .synthetic import grid, plausible, single

FILES = {FILE, "table.md", "table.csv", "table.tex"}
FIGURE = {"figure.png", "figure.svg", "figure.csv"}
# Most of these records have no anchors in view, so no figure, which takes a second to draw.
DEMO = ExperimentConfig(name="demo", title="Demo", methods={"x": []}, axes={"seed": [0]}, figure="anchors")


def write(folder, runs, gaps=(), **changes):
    """The files of an experiment of these records; a gap is (method, seed, reason)."""
    named = runs if isinstance(runs, dict) else {(run.method, run.config["seed"]): run for run in runs}
    places = [Place(name, {"seed": seed}, None, run.key, "c") for (name, seed), run in named.items()]
    places += [
        Place(name, {"seed": seed}, None, f"{name}{seed}", f"python run.py seed={seed}", reason)
        for name, seed, reason in gaps
    ]
    methods = {place.method: [] for place in places} or {"x": []}
    shown = replace(DEMO, **{"methods": methods, **changes})
    records = {run.key: run for run in named.values()}
    return write_experiment(Closing(shown, "paper", "c", tuple(places)), records, folder)


def test_an_experiment_writes_its_table_and_its_figure(tmp_path):
    runs = [plausible(method, 0) for method in ("absolute", "param-wip")]
    table = write(tmp_path, runs, [("param-wip", 1, "failed: out of memory")], figure="samples")
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == FILES | FIGURE
    assert table.title == "Demo: digits_stitch: weighted F1"
    assert files["table.md"].read_text() == to_markdown(table)
    assert files["table.csv"].read_text() == to_csv(table)
    assert files["table.tex"].read_text() == to_latex(table)
    told = "param-wip seed=1: failed: out of memory; python run.py seed=1"
    assert f"No record of 1 run(s):  \n{told}" in files["table.md"].read_text()
    drawn = list(csv.DictReader(files["figure.csv"].open()))
    place = runs[1].views[0]["carried"][2]
    wanted = ("param-wip", "conv", "2")
    [row] = [row for row in drawn if (row["method"], row["encoder"], row["sample"]) == wanted]
    assert [float(row["x"]), float(row["y"])] == place
    again, _ = experiment_table(Closing.load(tmp_path / FILE), {run.key: run for run in runs})
    assert to_markdown(again) == to_markdown(table)
    gone, _ = experiment_table(Closing.load(tmp_path / FILE), {})  # records that were deleted since
    assert "param-wip seed=0: not run yet; c" in gone.missing


def test_an_experiment_may_name_its_metric(tmp_path):
    assert "MRR" in write(tmp_path, [plausible("param-wip", 0)], metric="mrr").title


@pytest.mark.parametrize("kind", ["samples", "anchors", "sensitivity"])
def test_a_figure_that_cannot_be_drawn_leaves_the_table_and_says_why(tmp_path, kind):
    for name in FIGURE:
        (tmp_path / name).write_bytes(b"of other records")
    table = write(tmp_path, [single("x", 0, 0.5)], figure=kind)
    assert {path.name for path in tmp_path.iterdir()} == FILES  # nor does the figure of other records stay
    [remark] = table.remarks
    assert remark.startswith("No figure: no r") and "\n" not in remark
    assert remark in (tmp_path / "table.tex").read_text().replace("\\_", "_")


def test_an_experiment_without_any_record_lists_what_is_missing(tmp_path):
    write(tmp_path, [], [("absolute", 0, "not run yet"), ("x", 0, "killed (signal 9)")])
    text = (tmp_path / "table.md").read_text()
    assert "| mean | off-diagonal | - | missing: killed |" in text
    assert "| mean | matching | missing: not run | missing: killed |" in text
    assert "absolute seed=0: not run yet; python run.py seed=0" in text
    assert "No figure: no run has a record yet." in text


def test_a_method_is_called_as_the_experiment_calls_it(tmp_path):
    named = {name: single("param-wip", 0, value, key=name) for name, value in (("mine", 0.5), ("yours", 0.6))}
    table = write(tmp_path, {(name, 0): record for name, record in named.items()})
    assert table.header[2:] == ("mine", "yours")


def test_only_pairs_among_the_named_encoders_are_shown(tmp_path):
    runs = [grid("x", 0, lambda source, target: 0.1 + 0.2 * (source == "mlp") + 0.4 * (target == "vit"))]
    table = write(tmp_path, runs, encoders=["mlp", "vit"])
    pairs = [(target, source) for target in ("mlp", "vit") for source in ("mlp", "vit")]
    assert [(line.target, line.source) for line in table.rows if not line.closing] == pairs
    assert "Of all pairs only those among mlp, vit." in table.remarks
    [off] = [line.cells[0].mean for line in table.rows if line.source == "off-diagonal"]
    assert off == pytest.approx((0.1 + 0.7) / 2)


def test_what_was_asked_for_besides_the_experiment_is_said_under_its_table(tmp_path):
    run = grid("x", 0, lambda s, t: 0.5, ("a", "b"))
    place = Place("x", {"seed": 0}, None, run.key, "c")
    command = "python run.py experiment=demo profile=local seed=0 anchors.m=10 ~zoo.encoders.a"
    closing = Closing(DEMO, "local", command, (place,))
    table = write_experiment(closing, {run.key: run}, tmp_path)
    assert "Not as its file has it: anchors.m=10 ~zoo.encoders.a." in table.remarks
    plain = replace(closing, command="python run.py experiment=demo hydra/launcher=joblib paths.outputs=o")
    assert not plain.changes
