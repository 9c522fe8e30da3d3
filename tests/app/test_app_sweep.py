"""What a sweep makes of its jobs' ends: exit codes, reasons, and the files of an experiment."""

import json
import shutil

import pytest
from hydra.core.utils import JobReturn, JobStatus

from relrep_exp import app
from relrep_exp.errors import user_error
from relrep_exp.plan import make_parts
from relrep_exp.report.closing import Closing
from relrep_exp.sweep import Sweep, run_all


def failed(error):
    job = JobReturn(status=JobStatus.FAILED)
    try:
        raise error
    except Exception as raised:
        job.return_value = raised
    return job


DEFECT, TOLD = RuntimeError("a defect of ours"), user_error("too large", "make it smaller")


@pytest.fixture
def sweep(words, outputs):
    """A function from more words to a sweep."""
    return lambda *more: Sweep.of(make_parts([*words, *more], sweep=True))


@pytest.fixture
def finish(sweep, tmp_path):
    """A function that makes the records of some words."""

    def make(*more):
        for run in sweep(*more).left:
            app.run(run.config, tmp_path / "run", run.command)

    return make


def closing_of(outputs, name="demo"):
    return Closing.load(outputs / "report" / name / "experiment.json")


@pytest.mark.parametrize(
    ("errors", "code"), [([DEFECT, None], 1), ([TOLD, TOLD], 2), ([TOLD, DEFECT], 1), ([TOLD, None], 1)]
)
def test_the_exit_code_says_whose_fault_it_is(sweep, capsys, errors, code):
    jobs = [JobReturn() if error is None else failed(error) for error in errors]  # no error: it vanished
    assert run_all(sweep("anchors=random", "seed=0,1"), lambda _: jobs) == code
    assert ("Traceback" in capsys.readouterr().err) == (DEFECT in errors)


def test_a_job_that_vanished_is_missed(sweep):
    assert run_all(sweep("anchors=random"), lambda jobs: []) == 1


def test_only_what_is_left_is_launched(sweep, finish, capsys):
    finish("anchors=random", "seed=1")
    launched = []
    run_all(sweep("anchors=random", "seed=0,1,2"), lambda jobs: launched.extend(jobs) or [])
    assert [word for job in launched for word in job if word.startswith("seed")] == ["seed=0", "seed=2"]
    assert "1 of 3 runs have their records already" in capsys.readouterr().out
    assert len(sweep("anchors=random", "seed=0,1", "overwrite=always").left) == 2


def test_a_closing_says_why_each_run_is_missing(sweep, finish, outputs):
    words = ["experiment=demo", "seed=0", "~experiment.methods.random-wip", "~experiment.methods.param-wip"]
    finish(*words, "~experiment.methods.random-cosine", "~experiment.methods.param_single-wip")
    begun = {}

    def launch(jobs):
        begun.update({place.method: place.reason for place in closing_of(outputs).places})
        return [failed(DEFECT), failed(TOLD)]

    assert run_all(sweep(*words), launch) == 1
    assert begun == {
        "absolute": "",
        "random-cosine": "not run yet",
        "param_single-wip": "not run yet",
    }
    closing = closing_of(outputs)
    assert {place.method: place.reason for place in closing.places} == {
        "absolute": "",
        "random-cosine": "failed: RuntimeError: a defect of ours",
        "param_single-wip": "failed: too large",
    }
    assert closing.profile == "paper" and closing.command.startswith("python run.py task=")
    for place in closing.places:
        found = (outputs / "records" / f"{place.key}.json").exists()
        assert found == (place.reason == "") and "experiment" not in place.command


def test_what_ctrl_c_left_is_shown(sweep, finish, outputs, capsys):
    words = ["experiment=demo", "seed=0"]
    finish(*words, "~experiment.methods.param-wip")

    def launch(jobs):
        raise KeyboardInterrupt

    assert run_all(sweep(*words), launch) == 130
    out, err = capsys.readouterr()
    assert "interrupted: 4 of 5 runs are finished and kept" in err
    assert "random-wip" in out and (outputs / "report" / "demo" / "table.csv").exists()
    [missing] = [place for place in closing_of(outputs).places if place.reason]
    assert (missing.method, missing.reason) == ("param-wip", "interrupted")


def test_a_run_of_which_a_file_is_missing_keeps_no_other_from_running(words, file, tmp_path, outputs, capsys):
    own = tmp_path / "own.npz"
    shutil.copy(file, own)
    parts = make_parts([*words, "anchors=random", f"zoo.path={tmp_path / 'no.npz'},{own}"], sweep=True)
    launched = []
    code = run_all(Sweep.of(parts), lambda jobs: launched.extend(jobs) or [failed(TOLD)])
    assert code == 2 and len(launched) == 1
    assert "no.npz: there is no such file" in capsys.readouterr().err


def test_an_experiment_swept_over_something_besides_closes_with_a_table_for_each(told, file, outputs):
    words = ["task=precomputed_stitch", f"zoo.path={file}", "decoder=linear", "logger=none"]
    words += [f"paths.outputs={outputs}", "anchors.m=4,5", "experiment.axes={seed: [0]}"]
    words += ["~experiment.methods.param-wip", "~experiment.methods.param_single-wip"]
    code, out, err = told("experiment=demo", *words)
    assert code == 0, err
    titles = [line for line in out.splitlines() if line.startswith("Zero-shot stitching")]
    assert len(titles) == 2
    for part in "01":
        folder = outputs / "report" / "demo" / part
        assert (folder / "table.csv").exists()
        assert len(json.loads((folder / "experiment.json").read_text())["places"]) == 3
