"""Sweeps under real faults: killed, interrupted, failing in one arm, started twice at once."""

import re
import signal
import time

import pytest

from relrep_exp.app import cli

SWEEP = ("anchors=random,param", "sim=cosine,wip", "seed=0,1")
RUNS = 8


def records(outputs):
    """What changes when a record is written again, by name."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (outputs / "records").glob("*.json")
    }


def wait_for(process, outputs, count):
    """Wait until there are some records; the process has to be at work still."""
    deadline = time.monotonic() + 100
    while len(records(outputs)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return records(outputs)


@pytest.fixture
def here(capsys):
    """A function that runs a command line in this process: exit code, output and errors."""

    def run(*arguments):
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def two_words(tiny_words, file):
    """A function from an outputs folder to the overrides of a run on two encoders."""
    return lambda outputs: [*tiny_words(file, outputs), "zoo.encoders=[a,b]"]


def closing(stdout):
    """The closing table, without the lines of the runs and the time."""
    return "\n".join(line for line in stdout.splitlines() if not line.startswith("#")).rsplit("records in")[0]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_ends_as_if_nothing_had_happened(here, start, two_words, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    victim = start("-m", *two_words(killed), *SWEEP)
    wait_for(victim, killed, RUNS // 2)
    victim.send_signal(signal.SIGKILL)
    lines = victim.communicate(timeout=60)[0].splitlines()
    assert victim.returncode == -signal.SIGKILL
    earlier = records(killed)
    assert RUNS // 2 <= len(earlier) < RUNS
    assert not any("records in" in line for line in lines)

    code, again, err = here("-m", *two_words(killed), *SWEEP)
    assert code == 0, err
    later = records(killed)
    assert earlier.items() <= later.items()
    assert len(later) == RUNS
    assert len(re.findall(r"^#\d .* cached$", again, re.M)) == len(earlier)
    assert f"{RUNS} records in" in again.splitlines()[-1]

    code, uninterrupted, err = here("-m", *two_words(whole), *SWEEP)
    assert code == 0, err
    assert records(whole).keys() == later.keys()
    assert not re.search("cached$", uninterrupted, re.M)
    table = closing(uninterrupted)
    assert closing(again) == table
    assert "mean ± std over 2 seeds" in table
    assert all(re.search(rf"\b{name}", table) for name in ("param-cosine", "param-wip", "random-wip"))
    assert re.search(r"a +a( +\d+\.\d\d±\d+\.\d\d\*?){4}", table)


def test_a_failing_run_does_not_stop_the_others(here, two_words, tmp_path):
    arms = ("anchors=param", "anchors.epochs=1", "anchors.temperature=1e-39,2.9")
    code, out, err = here("-m", *two_words(tmp_path), *arms)
    assert code == 2
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: run 0 (") and "anchors.temperature=1e-39" in line
    assert "PARAM diverged in epoch 0" in line
    assert re.findall(r"^#(\d) ", out, re.M) == ["1"]
    assert len(records(tmp_path)) == 1
    assert "1 records in" in out.splitlines()[-1]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(here, start, two_words, tmp_path):
    arms = ("anchors=param", "anchors.epochs=2,500", "runtime.checkpoint_seconds=0.02")
    command = ["-m", *two_words(tmp_path), *arms]
    process = start(*command)
    wait_for(process, tmp_path, 1)
    while not list(tmp_path.glob("checkpoints/*.ckpt")):  # in the midst of learning
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted: 1 of 2 runs are finished and kept; the same command goes on" in err
    assert "1 records in" in out.splitlines()[-1]
    earlier = records(tmp_path)
    assert len(earlier) == 1

    code, out, err = here(*command, "runtime.checkpoint_seconds=30")
    assert code == 0, err
    assert "2 records in" in out.splitlines()[-1]
    assert earlier.items() < records(tmp_path).items()
    assert not list(tmp_path.glob("checkpoints/*.ckpt*"))


@pytest.mark.slow
def test_two_identical_commands_at_once_compute_once(start, two_words, tmp_path):
    arguments = (*two_words(tmp_path), "anchors=param")
    both = [start(*arguments), start(*arguments)]
    told = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    outs = [out for out, _ in told]
    assert sum("computed in" in out for out in outs) == 1
    assert sum("nothing was computed" in out for out in outs) == 1
    assert outs[0].splitlines()[-1] == outs[1].splitlines()[-1]
    assert len(records(tmp_path)) == 1
    assert not list(tmp_path.rglob("*.tmp*"))
