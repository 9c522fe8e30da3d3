"""How W&B is told of an experiment: a summary run with table, figure and artifact, once for each table."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from wandb_files import content_of, entries_of

from relrep_exp.app import track
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.experiment import Closing, Place, write_experiment
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, Row

FILES = {"experiment.json", "figure.csv", "figure.png", "figure.svg", "table.csv", "table.md", "table.tex"}


def records_of(values):
    """A run for each (method, m): a mean over pairs and nothing else."""
    for (method, m), value in values.items():
        config = {"task": {"kind": "stitching"}, "seed": 0, "method": {"name": method, "m": m}}
        rows = [Row(s, t, method, "f1_weighted", value) for s, t in (("a", "b"), ("b", "a"))]
        yield m, Record(content_key(config), "precomputed_stitch", method, config, rows)


def ended(folder, values, figure="lines", table="axis"):
    """The table and the files of an experiment along m."""
    runs = list(records_of(values))
    methods = {record.method: [] for _, record in runs}
    experiment = ExperimentConfig(
        "fig", "Figure", methods, {"m": [1, 2]}, metrics=["f1_weighted"], x="m", table=table, figure=figure
    )
    places = tuple(Place(r.method, {"seed": 0, "m": m}, None, r.key, "run") for m, r in runs)
    closing = Closing(experiment, "local", "python run.py", places)
    return write_experiment(closing, {r.key: r for _, r in runs}, folder)


VALUES = {("x", 1): 0.5, ("x", 2): 0.75, ("y", 1): 0.25, ("y", 2): 0.125}


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """W&B finds no settings, no key and no cache of the user."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def runs_in(outputs):
    return sorted((outputs / "runs" / "wandb").glob("offline-run-*"))


@pytest.mark.slow
def test_an_experiment_is_summed_up_once_for_each_table_and_can_be_sent(own_home, config_of, outputs):
    config = config_of("logger=wandb")
    folder = outputs / "report" / "fig"
    table = ended(folder, VALUES)
    for _ in range(2):  # a cached sweep ends in the same table
        track.log_experiment(config, "fig", table, folder)
    [first] = runs_in(outputs)
    [media] = first.glob("files/media/table/table_*.table.json")
    shown = json.loads(media.read_text())
    with (folder / "table.csv").open() as file:
        header, *rows = csv.reader(file)
    assert shown["columns"] == header
    assert len(shown["data"]) == len(rows) == len(VALUES)
    found = [dict(zip(header, row, strict=True)) for row in shown["data"]]
    assert {(row["method"], row["m"]): row["mean"] for row in found} == VALUES
    assert list(first.glob("files/media/images/figure_*.png"))

    table = ended(folder, {**VALUES, ("x", 2): 1.0})
    track.log_experiment(config, "fig", table, folder)
    assert len(runs_in(outputs)) == 2
    command = [Path(sys.executable).with_name("wandb"), "sync", "--dry-run", outputs / "runs" / "wandb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Would sync 2 run(s)" in done.stderr
    assert all(run.name.split("-")[-1] in done.stderr for run in runs_in(outputs))


@pytest.mark.slow
def test_the_summary_run_has_group_means_and_an_artifact_that_lies_under_outputs(
    own_home, config_of, outputs
):
    config = replace(config_of("logger=wandb"), experiment=ExperimentConfig("fig", "Figure", {"x": []}))
    folder = outputs / "report" / "fig"
    table = ended(folder, {("x", 1): 0.5, ("y", 1): 0.25}, table="pairs", figure="anchors")
    track.log_experiment(config, "fig/0", table, folder)
    [run] = runs_in(outputs)
    entries = list(entries_of(run))
    [about] = [entry.run for entry in entries if entry.WhichOneof("record_type") == "run"]
    assert about.job_type == "summary" and about.display_name == "fig/0: table"
    assert about.run_group == "fig"  # that of its runs
    assert content_of(run)[0]["profile"] == "paper"
    summary = {item.key: item.value_json for entry in entries for item in entry.summary.update}
    assert {name: json.loads(text) for name, text in summary.items() if name.startswith("mean/")} == {
        "mean/off-diagonal/x": 0.5,
        "mean/off-diagonal/y": 0.25,
    }
    [artifact] = [entry.artifact for entry in entries if entry.artifact.type == "experiment"]
    assert artifact.name == "fig-0-table"
    kept = {item.path: Path(item.local_path) for item in artifact.manifest.contents}
    assert set(kept) == FILES - {"figure.csv", "figure.png", "figure.svg"}
    for name, path in kept.items():
        assert outputs.resolve() in path.parents
        assert path.read_bytes() == (folder / name).read_bytes()


def test_where_nobody_watches_nothing_is_written(config_of, outputs):
    track.log_experiment(config_of("logger=none"), "fig", ended(outputs / "fig", VALUES), outputs / "fig")
    assert not (outputs / "runs").exists()


def test_a_failure_costs_one_warning_and_is_tried_again(own_home, config_of, outputs, caplog, monkeypatch):
    import wandb

    calls = []

    def refuse(**about):
        calls.append(about)
        raise RuntimeError("no W&B today")

    monkeypatch.setattr(wandb, "init", refuse)
    folder = outputs / "report" / "fig"
    table = ended(folder, VALUES, figure="anchors")
    for _ in range(2):
        track.log_experiment(config_of("logger=wandb"), "fig", table, folder)
    assert len(calls) == 2
    told = [entry.getMessage() for entry in caplog.records if entry.name == "relrep_exp"]
    assert told == 2 * [
        "W&B has no summary of fig (RuntimeError: no W&B today); its table and records are not affected"
    ]
    assert "WANDB_DATA_DIR" not in os.environ
