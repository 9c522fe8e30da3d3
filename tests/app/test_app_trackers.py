"""Who watches a run: what they are told can be read back, and nothing that they do loses a record."""

import csv
import json
import logging
from typing import ClassVar

import pytest
from wandb_files import content_of

from relrep_exp.app import track
from relrep_exp.app.track import COLUMNS, Sink, Tracker
from relrep_exp.tasks import stitching

PARAM = ("anchors=param", "anchors.epochs=2", "zoo.encoders=[a,b]")


def table_of(record):
    return [[*row[:4], pytest.approx(row.value)] for row in record.rows]


def test_csv_files_hold_curves_and_rows(run, tmp_path):
    record = run(*PARAM, "logger=csv").record
    with (tmp_path / "run" / "table.csv").open() as stream:
        header, *rows = csv.reader(stream)
    assert header == COLUMNS
    assert [[*row[:4], float(row[4])] for row in rows] == table_of(record)
    with (tmp_path / "run" / "curves.csv").open() as stream:
        header, *lines = csv.reader(stream)
    assert header == ["fit", "epoch", "loss", "value"]
    found = {(fit, loss, int(epoch)): float(value) for fit, epoch, loss, value in lines}
    expected = {
        (fit, loss, epoch): value
        for fit, losses in record.curves.items()
        for loss, values in losses.items()
        for epoch, value in enumerate(values)
    }
    assert len(found) == len(lines) == 2 * 4 * 2
    assert found == pytest.approx(expected)


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


NO_NETWORK = """
import socket
real = socket.getaddrinfo
def local_only(host, *rest, **more):
    if host not in (None, "localhost", "127.0.0.1", "::1", b"localhost"):
        open(LOG, "a").write(f"{host}\\n")
        raise OSError(f"no network in a test: {host}")
    return real(host, *rest, **more)
socket.getaddrinfo = local_only
"""


@pytest.mark.slow
def test_wandb_runs_offline_by_default_and_can_be_read_back(python_run, words, outputs, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK.replace("LOG", repr(str(tmp_path / "asked"))))
    quiet = [word for word in words if not word.startswith("logger=")]
    env = {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path / "home")}
    done = python_run(*quiet, *PARAM, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not (tmp_path / "asked").exists()
    record = json.loads(next((outputs / "records").glob("*.json")).read_text())
    [folder] = (outputs / "runs").glob("wandb/offline-run-*")
    [table] = folder.glob("files/media/table/rows_*.table.json")
    shown = json.loads(table.read_text())
    assert shown["columns"] == COLUMNS
    assert [dict(zip(COLUMNS, row, strict=True)) for row in shown["data"]] == record["rows"]
    assert list(folder.glob("files/media/images/f1_weighted_*.png"))
    assert list((outputs / "runs" / "artifacts" / "staging").iterdir())  # what is sent later is not in HOME
    assert not list((tmp_path / "home").rglob("artifacts/*"))

    config, history = content_of(folder)
    assert config["key"] == record["key"]
    assert config["anchors"]["epochs"] == 2 and config["task"]["name"] == "precomputed_stitch"
    logged = [float(step["b/coverage"]) for step in history if "b/coverage" in step]
    assert logged == pytest.approx(record["curves"]["b"]["coverage"])


class Watcher(Sink):
    """Remembers what it is told and fails at one step."""

    told: ClassVar = []
    fails_at: ClassVar = None

    def _step(self, name):
        Watcher.told.append(name)
        if name == Watcher.fails_at:
            raise RuntimeError(f"no {name} today")

    def open(self):
        self._step("open")

    def curve(self, fit, epoch, losses):
        self._step("curve")

    def record(self, record):
        self._step("record")

    def close(self):
        self._step("close")


@pytest.fixture
def watcher(monkeypatch):
    monkeypatch.setattr(Watcher, "told", [])
    monkeypatch.setattr(Watcher, "fails_at", None)
    monkeypatch.setitem(track.SINKS, "csv", Watcher)
    return Watcher


def test_a_watcher_is_told_everything_once_and_nothing_of_a_run_that_is_read(run, watcher):
    run(*PARAM, "logger=csv")
    assert watcher.told == ["open", *["curve"] * 4, "record", "close"]
    watcher.told.clear()
    run(*PARAM, "logger=csv")
    assert watcher.told == []


@pytest.mark.parametrize("step", ["open", "curve", "record", "close"])
def test_a_failing_watcher_costs_one_warning_and_no_record(run, watcher, caplog, step):
    watcher.fails_at = step
    with caplog.at_level(logging.WARNING, logger="relrep_exp"):
        outcome = run(*PARAM, "logger=csv")
    assert outcome.fresh and outcome.path.exists()
    told = [entry.getMessage() for entry in caplog.records if entry.name == "relrep_exp"]
    assert told == [
        f"Watcher failed (RuntimeError: no {step} today) and is left out; the record is not affected"
    ]
    assert watcher.told.count(step) == 1
    assert not run(*PARAM).fresh


def test_a_watcher_is_let_go_when_the_run_fails(run, watcher, monkeypatch):
    monkeypatch.setattr(stitching, "describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(*PARAM, "logger=csv")
    assert watcher.told == ["open", *["curve"] * 4, "close"]


def test_a_tracker_opens_nothing_before_the_run_starts(config_of, tmp_path):
    for name in ("csv", "tensorboard", "wandb", "none"):
        Tracker(config_of("anchors=random", f"logger={name}"), "key", tmp_path / name).close()
        assert not (tmp_path / name).exists()
