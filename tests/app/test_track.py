"""Lightning's loggers: what they are told can be read back, and nothing that they do loses a record."""

import csv
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning.loggers
import wandb
from wandb_files import content_of, entries_of

from relrep_exp.app import track
from relrep_exp.config.schema import ExperimentConfig
from relrep_exp.report.experiment import Closing, write_experiment
from relrep_exp.report.tables.points import Place
from relrep_exp.store.keys import content_key
from relrep_exp.store.records import Record, Row
from relrep_exp.tasks import stitching

PARAM = ("anchors=param", "anchors.epochs=2", "zoo.encoders=[a,b]")


def warnings(caplog):
    """The warnings of the package."""
    told = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    return [entry.getMessage() for entry in told if entry.name == "relrep_exp"]


def test_csv_files_hold_curves_settings_and_rows(run, tmp_path):
    record = run(*PARAM, "logger=csv").record
    with (tmp_path / "run" / "table.csv").open() as stream:
        header, *rows = csv.reader(stream)
    assert header == track.COLUMNS
    assert [[*row[:4], float(row[4])] for row in rows] == [
        [*row[:4], pytest.approx(row.value)] for row in record.rows
    ]
    with (tmp_path / "run" / "csv" / "metrics.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    found = {
        (name, int(line["step"])): float(value)
        for line in lines
        for name, value in line.items()
        if name != "step" and value
    }
    assert len(lines) == 2 * 2 and found == pytest.approx(
        {
            (f"{fit}/{loss}", epoch): value
            for fit, losses in record.curves.items()
            for loss, values in losses.items()
            for epoch, value in enumerate(values)
        }
    )
    assert f"key: {record.key}" in (tmp_path / "run" / "csv" / "hparams.yaml").read_text()


def test_tensorboard_files_hold_curves_and_rows(run, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record = run(*PARAM, "logger=tensorboard").record
    events = accumulator.EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    tags = events.Tags()
    assert set(tags["scalars"]) == {f"{fit}/{loss}" for fit in record.curves for loss in record.curves[fit]}
    values = [event.value for event in events.Scalars("b/coverage")]
    assert values == pytest.approx(record.curves["b"]["coverage"])
    assert tags["images"] == ["f1_weighted"]
    [text] = events.Tensors("rows/text_summary")
    assert "param-wip" in text.tensor_proto.string_val[0].decode()


@pytest.fixture
def watcher(monkeypatch):
    """Lightning's logger of CSV files: which of its steps were taken, and the one that fails, if any."""

    class Watcher(pytorch_lightning.loggers.CSVLogger):
        steps, fails_at = [], None

    def step(name):
        taken = getattr(Watcher, name)

        def take(*given, **named):
            Watcher.steps.append(name)
            if name == Watcher.fails_at:
                raise RuntimeError(f"no {name} today")
            return taken(*given, **named)

        return take

    for name in ("log_hyperparams", "log_metrics", "finalize"):
        setattr(Watcher, name, step(name))
    monkeypatch.setattr(pytorch_lightning.loggers, "CSVLogger", Watcher)
    return Watcher


WHOLE = ["log_hyperparams", *["log_metrics"] * 4, "finalize"]


def test_a_logger_is_told_everything_once_and_nothing_of_a_run_that_is_read(run, watcher):
    run(*PARAM, "logger=csv")
    assert watcher.steps == WHOLE
    watcher.steps.clear()
    run(*PARAM, "logger=csv")
    assert watcher.steps == []


@pytest.mark.parametrize("step", ["log_hyperparams", "log_metrics", "finalize"])
def test_a_failing_logger_costs_one_warning_and_no_record_and_is_closed(run, watcher, caplog, step):
    watcher.fails_at = step
    with caplog.at_level(logging.WARNING, logger="relrep_exp"):
        outcome = run(*PARAM, "logger=csv")
    assert outcome.fresh and outcome.path.exists()
    assert warnings(caplog) == [
        f"logger=csv failed (RuntimeError: no {step} today) and is left out; the record is not affected"
    ]
    assert watcher.steps == [*WHOLE[: WHOLE.index(step) + 1], *([] if step == "finalize" else ["finalize"])]
    assert not run(*PARAM).fresh


def test_a_logger_is_let_go_when_the_run_fails(run, watcher, monkeypatch):
    monkeypatch.setattr(stitching, "describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(*PARAM, "logger=csv")
    assert watcher.steps == WHOLE


def test_a_tracker_opens_nothing_before_the_run_starts(config_of, tmp_path):
    for name in ("csv", "tensorboard", "wandb", "none"):
        config = config_of("anchors=random", f"logger={name}")
        track.Tracker(config, "key", tmp_path / name).close()
        assert not (tmp_path / name).exists()


# W&B


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """W&B finds no settings, no key and no cache of the user."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def runs_in(outputs):
    return sorted((outputs / "runs" / "wandb").glob("offline-run-*"))


@pytest.mark.slow
def test_wandb_runs_offline_by_default_and_can_be_read_back(
    own_home, told, words, record, outputs, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: asked.append(host) or 1 / 0)
    quiet = [word for word in words if not word.startswith("logger=")]
    code, _, err = told(*quiet, *PARAM)
    assert (code, err) == (0, "") and asked == []
    [folder] = runs_in(outputs)
    [table] = folder.glob("files/media/table/rows_*.table.json")
    shown = json.loads(table.read_text())
    assert shown["columns"] == track.COLUMNS
    assert shown["data"] == [list(row) for row in record().rows]
    assert list(folder.glob("files/media/images/f1_weighted_*.png"))
    assert list((outputs / "runs" / "artifacts" / "staging").iterdir())  # what is sent later is not in HOME
    assert not list((tmp_path / "home").rglob("artifacts/*"))

    config, history = content_of(folder)
    assert config["key"] == record().key
    assert config["anchors"]["epochs"] == 2 and config["task"]["name"] == "precomputed_stitch"
    logged = [float(step["b/coverage"]) for step in history if "b/coverage" in step]
    assert logged == pytest.approx(record().curves["b"]["coverage"])
    summary = {item.key for entry in entries_of(folder) for item in entry.summary.update}
    assert {f"timings/{phase}" for phase in record().timings} <= summary


def exit_codes(outputs):
    entries = [entry for folder in runs_in(outputs) for entry in entries_of(folder)]
    return [entry.exit.exit_code for entry in entries if entry.WhichOneof("record_type") == "exit"]


@pytest.mark.slow
def test_a_run_of_wandb_that_fails_midway_is_finished_and_the_next_one_is_another(
    own_home, run, outputs, caplog, monkeypatch
):
    quick = ("anchors=random", "logger=wandb")
    with monkeypatch.context() as patch:
        patch.setattr(pytorch_lightning.loggers.WandbLogger, "log_table", lambda *_: 1 / 0)
        run(*quick)
    assert wandb.run is None and len(warnings(caplog)) == 1
    run(*quick, "seed=1")
    assert wandb.run is None and len(runs_in(outputs)) == 2
    end = time.monotonic() + 20
    while (codes := exit_codes(outputs)) != [1, 0]:  # W&B's own process may still write what it was told
        assert time.monotonic() < end, codes
        time.sleep(0.1)


FILES = {"experiment.json", "figure.csv", "figure.png", "figure.svg", "table.csv", "table.md", "table.tex"}
VALUES = {("x", 1): 0.5, ("x", 2): 0.75, ("y", 1): 0.25, ("y", 2): 0.125}


def ended(folder, values, figure="lines", table="axis"):
    """The table and the files of an experiment along m, of which each run has a mean and nothing else."""
    runs, places = {}, []
    for (method, m), value in values.items():
        config = {"task": {"kind": "stitching"}, "seed": 0, "method": {"name": method, "m": m}}
        rows = [Row(s, t, method, "f1_weighted", value) for s, t in (("a", "b"), ("b", "a"))]
        key = content_key(config)
        runs[key] = Record(key, "precomputed_stitch", method, config, rows)
        places.append(Place(method, {"seed": 0, "m": m}, None, key, "run"))
    methods = {method: [] for method, _ in values}
    shown = {"metrics": ["f1_weighted"], "x": "m", "table": table, "figure": figure}
    experiment = ExperimentConfig("fig", "Figure", methods, {"m": [1, 2]}, **shown)
    return write_experiment(Closing(experiment, "local", "python run.py", tuple(places)), runs, folder)


@pytest.mark.slow
def test_an_experiment_is_summed_up_once_for_each_table_and_can_be_sent(own_home, config_of, outputs):
    config, folder = config_of("logger=wandb"), outputs / "report" / "fig"
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
    [about, *_] = [entry.run for entry in entries if entry.WhichOneof("record_type") == "run"]
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


def test_a_summary_that_fails_costs_one_warning_and_is_tried_again(config_of, outputs, caplog, monkeypatch):
    calls = []
    monkeypatch.setattr(wandb, "init", lambda **about: calls.append(about) or 1 / 0)
    folder = outputs / "report" / "fig"
    table = ended(folder, VALUES, figure="anchors")
    track.log_experiment(config_of("logger=none"), "fig", table, folder)
    assert calls == [] and not (outputs / "runs").exists()
    for _ in range(2):
        track.log_experiment(config_of("logger=wandb"), "fig", table, folder)
    assert len(calls) == 2
    what = "W&B has no summary of fig (ZeroDivisionError: division by zero)"
    assert warnings(caplog) == 2 * [f"{what}; its table and records are not affected"]
    assert "WANDB_DATA_DIR" not in os.environ
