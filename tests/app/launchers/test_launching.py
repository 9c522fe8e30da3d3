"""Which runs are launched, when, and what is made of their ends, by the files that workers leave."""

import json

import pytest
from omegaconf import OmegaConf

from relrep_exp.app import worker
from relrep_exp.app.launch import Failure, Launch
from relrep_exp.app.plan import make_plan
from relrep_exp.errors import user_error
from relrep_exp.store.records import Record, Row

FAULTS = {"users": user_error("too large", "make it smaller"), "defect": ValueError("odd")}
TOO_LARGE, ODD = Failure(2, "failed: too large"), Failure(1, "failed: ValueError: odd")


class Sweep:
    """Runs under a launcher that follows a script: a function for each launch, from numbers to results.

    `batches` are the numbers of each launch.
    """

    def __init__(self, words, folder, monkeypatch):
        self.words, self.folder, self.batches, self.monkeypatch = words, folder, [], monkeypatch

    def plan(self, *more):
        self.runs = make_plan([*self.words, "anchors=random", *more], sweep=True)

    def launch(self, *script, sign="now"):
        left = list(script)

        def start(jobs):
            numbers = [int(job[-2].removeprefix("hydra.sweep.subdir=")) for job in jobs]
            assert all(
                tuple(job[:-2]) == self.runs[n].overrides for n, job in zip(numbers, jobs, strict=True)
            )
            self.batches.append(numbers)
            return left.pop(0)(numbers)

        self.launched = Launch(start, self.folder, sign)
        failures = self.launched.make(self.runs)
        assert not left
        numbers = {run.place: number for number, run in enumerate(self.runs)}
        return {numbers[place]: failure for place, failure in failures.items()}

    def begin(self, number):
        """What Hydra does first of all."""
        (self.folder / str(number)).mkdir(parents=True, exist_ok=True)

    def end(self, number, end="done", sign="now"):
        """A worker's whole life."""
        run = self.runs[number]

        def job(composed):
            if end in FAULTS:
                raise FAULTS[end]
            row = Row("a", "b", "random-wip", "f1_weighted", 0.5)
            record = Record(run.key, run.config.task.name, "random-wip", run.request.identity, [row])
            run.store.put(record, replace=True)

        self.begin(number)
        settings = {"runtime": {"output_dir": str(self.folder / str(number))}, "job": {"name": run.key}}
        settings["overrides"] = {"task": list(run.overrides)}
        self.monkeypatch.setattr(worker.HydraConfig, "get", lambda: OmegaConf.create(settings))
        composed = {"runtime": {"threads": 0}, "paths": {"outputs": run.config.paths.outputs}}
        worker.Worker(job, sign, self.folder, 0)(OmegaConf.create(composed))


@pytest.fixture
def sweep(words, tmp_path, monkeypatch):
    monkeypatch.setattr(worker.threads, "limit", lambda count: None)
    monkeypatch.chdir(tmp_path)
    return Sweep(words, tmp_path / "sweep", monkeypatch)


@pytest.mark.parametrize("reused", [False, True], ids=["own folder", "folder of an earlier sweep"])
def test_only_what_was_begun_is_suspected_when_a_launcher_gives_up(sweep, capsys, reused):
    sweep.plan("seed=0,1,2,3")
    for number in range(4 * reused):
        sweep.begin(number)

    def gives_up(numbers):
        sweep.end(0)
        (sweep.folder / "1" / "run.log").parent.mkdir(exist_ok=True)
        (sweep.folder / "1" / "run.log").touch()
        raise RuntimeError("a worker died, exit codes {SIGKILL(-9)}")

    def dies_again(numbers):
        raise RuntimeError("a worker died, exit codes {SIGSEGV(-11)}")

    failures = sweep.launch(gives_up, lambda numbers: [sweep.end(n) for n in numbers], dies_again)
    assert sweep.batches == [[0, 1, 2, 3], [2, 3], [1]]
    assert failures == {1: Failure(1, "its worker died twice (killed by SIGSEGV)")}
    told = capsys.readouterr().err
    assert "was lost (killed by SIGKILL); it runs again, alone" in told
    assert f"error: run 1 was lost twice (killed by SIGSEGV): {sweep.runs[1].command}" in told


def test_a_suspect_that_finished_after_all_is_not_launched_again(sweep):
    sweep.plan("seed=0,1,2")

    def gives_up(numbers):
        sweep.begin(0)
        raise RuntimeError("another worker died")

    assert not sweep.launch(gives_up, lambda numbers: [sweep.end(n) for n in (0, 1, 2)])
    assert sweep.batches == [[0, 1, 2], [1, 2]]


@pytest.mark.parametrize("complaint", ["no such partition", ""])
def test_a_launcher_that_starts_nothing_is_told_once(sweep, capsys, complaint):
    sweep.plan("seed=0,1")

    def start(numbers):
        if complaint:
            raise RuntimeError(complaint)
        return []

    failures = sweep.launch(start)
    assert sweep.batches == [[0, 1]] and [failure.code for failure in failures.values()] == [2, 2]
    told = capsys.readouterr().err
    assert told.count("error: the launcher starts no worker: ") == 1 and complaint in told


def test_each_failure_is_told_once_and_kept_in_a_file_until_the_record_is_made(sweep, capsys):
    sweep.plan("seed=0,1,2")
    failures = sweep.launch(
        lambda numbers: [sweep.end(n, e) for n, e in enumerate(("users", "defect", "done"))]
    )
    assert failures == {0: TOO_LARGE, 1: ODD}
    out, err = capsys.readouterr()
    assert err.count(f"error: run 0 ({sweep.runs[0].command.removeprefix('python run.py ')}): too large") == 1
    assert err.count("Traceback") == 1 and out.count("#2 ") == 1
    files = [run.store.failure(run.key) for run in sweep.runs]
    assert [path.exists() for path in files] == [True, True, False]
    told = json.loads(files[0].read_text())
    assert (told["code"], told["problems"]) == (2, [["too large", "make it smaller"]])
    assert json.loads(files[1].read_text())["code"] == 1
    sweep.end(0)
    assert not files[0].exists()


@pytest.mark.parametrize("end", ["lost", "done"])
def test_a_failure_of_an_earlier_command_is_not_taken_for_one_of_this(sweep, end):
    sweep.plan("seed=0,1")
    sweep.end(0, "users", sign="earlier")

    def start(numbers):
        sweep.end(1)
        sweep.end(0, end) if end == "done" else (sweep.folder / "0" / "run.log").touch()

    failures = sweep.launch(*(lambda numbers: start(numbers) or [] for _ in range(1 + (end == "lost"))))
    assert failures == ({} if end == "done" else {0: Failure(1, "its worker died twice")})


def test_a_record_that_is_to_be_made_anew_does_not_count_before(sweep, capsys):
    sweep.plan("seed=0,1", "overwrite=always")
    sweep.end(0)
    sweep.end(1)
    failures = sweep.launch(lambda numbers: [sweep.end(0), sweep.end(1, "users")])
    assert failures == {1: TOO_LARGE}
    assert capsys.readouterr().out.count("#") == 1


def test_ctrl_c_keeps_what_is_known_of_failures(sweep):
    sweep.plan("seed=0,1")

    def interrupted(numbers):
        sweep.end(0, "users")
        raise KeyboardInterrupt

    assert sweep.launch(interrupted) == {0: TOO_LARGE}
    assert sweep.launched.interrupted
