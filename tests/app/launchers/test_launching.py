"""Which runs are launched, when, and what is made of their ends; the states are those that workers write."""

import pytest

from relrep_exp.app.launch import Failure, Interrupted, Launch, launch_all
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
from relrep_exp.app.worker import State
from relrep_exp.errors import UserError
from relrep_exp.store.records import Record, RecordStore, Row


@pytest.fixture
def plan(words):
    """A function from overrides to runs."""
    return lambda *more: make_plan([*words, "anchors=random", *more], sweep=True)


@pytest.fixture
def launched(tmp_path, outputs):
    """A function that launches runs by a script: one function per launch, from the numbers to the results."""

    def run(runs, *script):
        batches, states, left = [], tmp_path / "states", list(script)

        def start(jobs):
            numbers = [int(job[-1].removeprefix("hydra.sweep.subdir=")) for job in jobs]
            assert all(tuple(job[:-1]) == runs[n].overrides for n, job in zip(numbers, jobs, strict=True))
            batches.append(numbers)
            return left.pop(0)(numbers)

        failures = launch_all(runs, Launch(start, states))
        assert not left
        return batches, failures

    def done(number, runs):
        config = runs[number].config
        row = Row("a", "b", "random-wip", "f1_weighted", 0.5)
        record = Record(Request(config).key, config.task.name, "random-wip", Request(config).identity, [row])
        RecordStore(outputs / "records").put(record)
        State(number, "done", fresh=True).save(tmp_path / "states")

    run.done = done
    run.state = lambda *args, **named: State(*args, **named).save(tmp_path / "states")
    return run


def test_only_what_was_begun_is_suspected_when_a_launcher_gives_up(plan, launched, capsys):
    runs = plan("seed=0,1,2,3")

    def gives_up(numbers):
        launched.done(0, runs)
        launched.state(1, "running")
        raise RuntimeError("a worker died, exit codes {SIGKILL(-9)}")

    def dies_again(numbers):
        launched.state(1, "running")
        raise RuntimeError("a worker died, exit codes {SIGSEGV(-11)}")

    def others(numbers):
        return [launched.done(n, runs) for n in numbers]

    batches, failures = launched(runs, gives_up, others, dies_again)
    assert batches == [[0, 1, 2, 3], [2, 3], [1]]
    reason = "its worker died twice (killed by SIGSEGV)"
    assert failures == {Request(runs[1].config).key: Failure(1, reason)}
    told = capsys.readouterr().err
    assert "was lost (killed by SIGKILL); it runs again, alone" in told
    assert f"error: run 1 was lost twice (killed by SIGSEGV): {runs[1].command}" in told


def test_a_suspect_that_finished_after_all_is_not_launched_again(plan, launched, outputs):
    runs = plan("seed=0,1,2")

    def gives_up(numbers):
        launched.state(0, "running")
        raise RuntimeError("another worker died")

    def meanwhile(numbers):
        for number in (0, 1, 2):
            launched.done(number, runs)
        return []

    batches, failures = launched(runs, gives_up, meanwhile)
    assert batches == [[0, 1, 2], [1, 2]] and not failures


@pytest.mark.parametrize("complaint", ["no such partition", ""])
def test_a_launcher_that_starts_nothing_is_told_once(plan, launched, capsys, complaint):
    def start(numbers):
        if complaint:
            raise RuntimeError(complaint)
        return []

    runs = plan("seed=0,1")
    batches, failures = launched(runs, start)
    assert batches == [[0, 1]] and [failure.code for failure in failures.values()] == [2, 2]
    told = capsys.readouterr().err
    assert told.count("error: the launcher starts no worker: ") == 1 and complaint in told


def test_failures_are_known_by_the_key_of_their_record(plan, launched, capsys):
    runs = plan("seed=0,1,2")

    def start(numbers):
        launched.state(0, "failed", problems=(("too large", "make it smaller"),))
        launched.state(1, "failed", trace="Traceback\nValueError: odd")
        launched.done(2, runs)
        return []

    _, failures = launched(runs, start)
    assert failures == {
        Request(runs[0].config).key: Failure(2, "failed: too large"),
        Request(runs[1].config).key: Failure(1, "failed: ValueError: odd"),
    }
    told = capsys.readouterr().err
    assert f"error: run 0 ({runs[0].command.removeprefix('python run.py ')}): too large" in told
    assert "Traceback\nValueError: odd" in told


def test_ctrl_c_keeps_what_is_known_of_failures(plan, launched):
    runs = plan("seed=0,1")

    def interrupted(numbers):
        launched.state(0, "failed", problems=(("too large", "make it smaller"),))
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        launched(runs, interrupted)
    assert stopped.value.failures == {runs[0].key: Failure(2, "failed: too large")}


def test_a_state_survives_its_file(tmp_path):
    states = [State(3, "failed", problems=(("a", "b"),)), State(1, "done", seconds=2.5, fresh=True)]
    for state in states:
        state.save(tmp_path)
    assert State.load_all(tmp_path) == {3: states[0], 1: states[1]}


def test_a_launcher_that_is_none_of_ours_needs_nothing(plan):
    request = plan()[0].request
    request.require(launcher="somebody_elses")
    with pytest.raises(UserError, match="no sbatch"):
        request.require(launcher="slurm")
