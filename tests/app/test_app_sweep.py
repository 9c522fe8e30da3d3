"""What a sweep makes of its jobs' ends."""

from hydra.core.utils import JobReturn, JobStatus

from relrep_exp.errors import user_error
from relrep_exp.plan import make_plan
from relrep_exp.sweep import run_all


def failed(error):
    job = JobReturn(status=JobStatus.FAILED)
    try:
        raise error
    except Exception as raised:
        job.return_value = raised
    return job


def test_a_defect_is_shown_with_its_traceback(words, capsys):
    runs = make_plan([*words, "anchors=random", "seed=0,1"], sweep=True)
    code = run_all(runs, lambda jobs: [failed(RuntimeError("a defect of ours")), JobReturn()])
    told = capsys.readouterr()
    assert code == 1
    assert "Traceback" in told.err
    assert "a defect of ours" in told.err


def test_a_users_error_has_been_told_by_its_job(words, capsys):
    runs = make_plan([*words, "anchors=random"], sweep=True)
    assert run_all(runs, lambda jobs: [failed(user_error("too large", "make it smaller"))]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_job_that_vanished_is_missed(words):
    runs = make_plan([*words, "anchors=random"], sweep=True)
    assert run_all(runs, lambda jobs: []) == 1


def test_an_experiment_swept_over_something_besides_closes_with_a_table_for_each(python_run, file, outputs):
    words = ["task=precomputed_stitch", f"zoo.path={file}", "decoder=linear", "logger=none"]
    done = python_run(
        "experiment=demo",
        *words,
        f"paths.outputs={outputs}",
        "anchors.m=4,5",
        "experiment.axes={seed: [0]}",
    )
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("Zero-shot stitching")]
    assert len(titles) == 2
    assert all((outputs / "report" / "demo" / part / "table.csv").exists() for part in "01")
