"""What a sweep makes of its runs' ends: exit codes, reasons, and the files of an experiment."""

import json
import shutil

import pytest

from relrep_exp.app.launch import Failure
from relrep_exp.app.plan import make_parts
from relrep_exp.app.run import run as make_record
from relrep_exp.app.sweep import Sweep, run_all
from relrep_exp.config.overrides import parse
from relrep_exp.report.experiment import Closing

DEFECT, MENDABLE = Failure(1, "failed: RuntimeError: a defect of ours"), Failure(2, "failed: too large")


@pytest.fixture
def sweep(words, outputs):
    """A function from more words to a sweep."""
    return lambda *more: Sweep.of(make_parts(parse([*words, *more]), sweep=True))


@pytest.fixture
def finish(sweep, tmp_path):
    """A function that makes the records of some words."""

    def make(*more):
        for run in sweep(*more).left:
            make_record(run.request, run.command, tmp_path / "run")

    return make


def closing_of(outputs, name="demo"):
    return Closing.load(outputs / "report" / name / "experiment.json")


@pytest.fixture
def close():
    """A function that runs a sweep of which no run gets a record, and says why; gives the exit code."""

    class Launch:
        def __init__(self, failures, during, interrupted):
            self.failures, self.during, self.interrupted, self.launched = failures, during, interrupted, []

        def make(self, runs):
            self.launched += runs
            self.during(runs)
            return {run.place: failure for run, failure in zip(runs, self.failures, strict=False)}

    def run(sweep, *failures, during=lambda runs: None, interrupted=False):
        launch = Launch(failures, during, interrupted)
        return run_all(sweep, launch), launch.launched

    return run


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ((MENDABLE, MENDABLE), 2),
        ((MENDABLE, DEFECT), 1),
        ((DEFECT,), 1),
        ((MENDABLE,), 1),  # of the other one nothing is known
        ((), 1),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(sweep, close, failures, code):
    assert close(sweep("anchors=random", "seed=0,1"), *failures)[0] == code


def test_only_what_is_left_is_launched(sweep, finish, close, capsys):
    finish("anchors=random", "seed=1")
    _, launched = close(sweep("anchors=random", "seed=0,1,2"))
    assert [run.config.seed for run in launched] == [0, 2]
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("#")]
    assert line.startswith("#2 ") and "seed=1 " in line and line.endswith("cached")
    assert len(sweep("anchors=random", "seed=0,1", "overwrite=always").left) == 2


def test_what_has_all_its_records_is_closed_without_a_launcher(sweep, finish, capsys):
    finish("anchors=random", "seed=0,1")
    assert run_all(sweep("anchors=random", "seed=0,1"), None) == 0
    assert "mean ± std over 2 seeds" in capsys.readouterr().out


def test_a_closing_says_why_each_run_is_missing(sweep, finish, close, outputs):
    words = ["experiment=demo", "seed=0", "~experiment.methods.random-wip", "~experiment.methods.param-wip"]
    finish(*words, "~experiment.methods.random-cosine", "~experiment.methods.param_single-wip")
    begun = {}

    def look(runs):
        begun.update({place.method: place.reason for place in closing_of(outputs).places})

    assert close(sweep(*words), DEFECT, MENDABLE, during=look)[0] == 1
    assert begun == {
        "absolute": "",
        "random-cosine": "not run yet",
        "param_single-wip": "not run yet",
    }
    closing = closing_of(outputs)
    assert {place.method: place.reason for place in closing.places} == {
        "absolute": "",
        "random-cosine": DEFECT.reason,
        "param_single-wip": MENDABLE.reason,
    }
    assert closing.profile == "paper" and closing.command.startswith("python run.py task=")
    for place in closing.places:
        found = (outputs / "records" / f"{place.key}.json").exists()
        assert found == (place.reason == "") and "experiment" not in place.command


def test_what_ctrl_c_left_is_shown(sweep, finish, close, outputs, capsys):
    words = ["experiment=demo", "seed=0", "~experiment.methods.random-cosine"]
    words += ["~experiment.methods.param_single-wip"]
    finish(*words, "~experiment.methods.param-wip")
    assert close(sweep(*words), interrupted=True)[0] == 130
    out, err = capsys.readouterr()
    assert "interrupted: 2 of 3 runs are finished and kept" in err
    assert "random-wip" in out and (outputs / "report" / "demo" / "table.csv").exists()
    [missing] = [place for place in closing_of(outputs).places if place.reason]
    assert (missing.method, missing.reason) == ("param-wip", "interrupted")


def test_a_run_of_which_a_file_is_missing_keeps_no_other_from_running(
    words, file, close, tmp_path, outputs, capsys
):
    own = tmp_path / "own.npz"
    shutil.copy(file, own)
    more = ["anchors=random", f"zoo.path={tmp_path / 'no.npz'},{own}"]
    parts = make_parts(parse([*words, *more]), sweep=True)
    code, launched = close(Sweep.of(parts), MENDABLE)
    assert code == 2 and [run.config.zoo.path for run in launched] == [str(own)]
    assert "no.npz: there is no such file" in capsys.readouterr().err


def test_an_experiment_swept_over_something_besides_closes_with_a_table_for_each(told, small, outputs):
    words = [*small, "decoder=linear", "anchors.m=4,5", "experiment.axes={seed: [0]}"]
    words += [f"~experiment.methods.{name}" for name in ("param-wip", "param_single-wip", "random-cosine")]
    code, out, err = told("experiment=demo", *words)
    assert code == 0, err
    titles = [line for line in out.splitlines() if line.startswith("Zero-shot stitching")]
    assert len(titles) == 2
    for part in "01":
        folder = outputs / "report" / "demo" / part
        assert (folder / "table.csv").exists()
        assert len(json.loads((folder / "experiment.json").read_text())["places"]) == 2
