"""What a run says before each of its steps: on the terminal, and in its folder."""

import re

import pytest

from relrep_exp.app import cli


@pytest.fixture
def words(words):
    return [word for word in words if not word.startswith("decoder.")]


def test_a_line_stands_before_each_step(words, outputs, capsys):
    assert cli.main([*words, "anchors=random", "decoder=linear"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert all(re.match(r" *\d+\.\d s  \S", line) for line in told)
    steps = [line.split(" s  ", 1)[1] for line in told]
    firsts = list(dict.fromkeys(re.split(r"[ :]", step)[0] for step in steps))
    assert firsts == ["request", "samples", "embeddings", "fit", "join", "decoders", "measure", "record"]
    fits = [step for step in steps if step.startswith("fit ")]
    assert [re.match(r"fit (\d) of 3: random-wip on ", fit)[1] for fit in fits] == ["1", "2", "3"]
    [file] = (outputs / "runs").rglob("run.log")
    assert file.read_text().splitlines() == told
    assert cli.main([*words, "anchors=random", "decoder=linear"]) == 0
    assert capsys.readouterr().err == "" and len(list((outputs / "runs").rglob("run.log"))) == 1


def test_quiet_runs_are_told_in_their_file_alone(words, outputs, capsys):
    assert cli.main(["-q", *words, "anchors=random", "decoder=linear"]) == 0
    [file] = (outputs / "runs").rglob("run.log")
    assert capsys.readouterr().err == "" and "measure" in file.read_text()


def test_runs_of_a_sweep_have_a_file_each_and_the_terminal_a_line_each(words, outputs, capsys):
    assert cli.main(["-m", *words, "anchors=random", "decoder=linear", "seed=0,1"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and len(re.findall(r"^#\d", out, re.M)) == 2
    assert len(list((outputs / "runs").rglob("run.log"))) == 2
