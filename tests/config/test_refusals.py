"""A wrong request is told at once: exit code 2, every problem with its remedy, nothing written."""

import importlib.util
import subprocess

import pytest

from relrep_exp.app import cli, run

BASE = object()  # stands for the words of a good run


@pytest.fixture
def refused(capsys, words, outputs):
    """A function that runs a command line, which has to be refused, and returns what the user is told."""

    def call(*arguments):
        given = [word for a in arguments for word in (words if a is BASE else [str(a)])]
        code = cli.main(given)
        out, err = capsys.readouterr()
        assert (code, out) == (2, ""), err
        assert "Traceback" not in err
        assert err.count("error: ") == err.count("\n    -> ") > 0
        assert left_behind(outputs) == []
        return err

    return call


def left_behind(folder):
    """Files, except those that only lock."""
    return [path for path in folder.rglob("*") if path.is_file() and ".locks" not in path.parts]


def test_every_problem_of_a_request_is_in_one_message(python_run, words, outputs):
    done = python_run(*words, "anchors=parm", "sim=wpi", "seed=-1", "anchors.mm=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 4
    for what, remedy in [
        ("anchors=parm: there is no such choice", "did you mean param "),
        ("sim=wpi: there is no such choice", "did you mean wip?"),
        ("anchors.mm is not a key", "did you mean anchors.m "),
        ("seed=-1: input should be greater than or equal to 0", "give seed a value that fits"),
    ]:
        line = next(n for n, text in enumerate(done.stderr.splitlines()) if what in text)
        assert remedy in done.stderr.splitlines()[line + 1]
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["task=precomputed_stitch"], ["zoo.path is not set", "zoo.path=VALUE"]),
        ([BASE, "zoo.path=/no/such.npz"], ["zoo.path=/no/such.npz: there is no such file", ".safetensors"]),
        ([BASE, "decoder.batch=-3"], ["decoder.batch=-3", "greater than or equal to 2"]),
        ([BASE, "anchors.batch=-1"], ["anchors.batch=-1", "greater than or equal to 2"]),
        ([BASE, "anchors.m=0"], ["anchors.m=0", "greater than or equal to 1"]),
        ([BASE, "anchors.lr=nan"], ["anchors.lr=nan", "finite"]),
        ([BASE, "aligner.eps=automatic"], ["aligner.eps='automatic'", "or 'auto'"]),
        ([BASE, "aligner.shrinkage=1.5"], ["aligner.shrinkage=1.5", "less than or equal to 1"]),
        ([BASE, "task.permutations=18"], ["task.permutations=18", "19 or more, or 0 for none"]),
        ([BASE, "seed=abc"], ["seed='abc'", "integer"]),
        ([BASE, "seed=0,1"], ["several values in seed=0,1", "add -m"]),
        ([BASE, "seed=[1"], ["cannot read 'seed=[1'", "KEY=VALUE"]),
        ([BASE, "foo", "b=]"], ["cannot read 'foo'", "cannot read 'b=]'"]),
        ([BASE, "experiment=demmo"], ["experiment=demmo: there is no such choice", "did you mean demo?"]),
        ([BASE, "experiment=null"], ["experiment=null: there is no such choice"]),
        ([BASE, "decoder=null"], ["decoder=null: there is no such choice", "mlp_paper"]),
        ([BASE, "hydra/launcher=jblib"], ["hydra/launcher=jblib: there is no such choice", "basic"]),
        ([BASE, "+foo=3"], ["foo is not a key"]),
        ([BASE, "~sim"], ["sim is not set"]),
        ([BASE, "~anchors.m", "anchors=random"], ["anchors.m=300", "from 60 support samples"]),
        ([BASE, "data=digits"], ["data=digits does not go with this zoo", "use data=precomputed"]),
        (["zoo=digits_local", "data=precomputed"], ["data=precomputed does not go", "use data=digits"]),
        ([BASE, "paths.outputs="], ["paths.outputs=''", "at least 1 character"]),
        ([BASE, "plugins=[/no/such.py]"], ["there is no file /no/such.py"]),
        ([BASE, "plugins=mine.py"], ["plugins='mine.py'", "list"]),
        (
            ["-m", BASE, "anchors=parm,wandom,random"],
            ["anchors=parm", "anchors=wandom", "did you mean random"],
        ),
        (["-m", BASE, "anchors=param,random", "anchors.epochs=3"], ["anchors.epochs is not a key"]),
        (["-m", BASE, "seed=0,-1", "anchors.m=5,0"], ["seed=-1", "anchors.m=0"]),
        (["--cfg", "job", BASE, "sim=wpi", "sed=1"], ["sim=wpi", "sed is not a key", "did you mean seed"]),
        ([BASE, "--cfg", "job", "sim=wpi"], ["sim=wpi", "did you mean wip?"]),
        (["overwrite=never", BASE], ["there is no record", "overwrite=missing"]),
        ([BASE, "overwrite=nevr"], ["overwrite='nevr'", "'never', 'missing' or 'always'"]),
        ([BASE, "aligner=orto"], ["aligner=orto: there is no such choice", "did you mean ortho"]),
        ([BASE, "aligner=ortho", "aligner.scaling=l3"], ["aligner.scaling='l3'", "'center', 'l2' or 'none'"]),
        ([BASE, "aligner=linear", "aligner.ridge=-1"], ["aligner.ridge=-1", "greater than or equal to 0"]),
        ([BASE, "aligner=ortho", "anchors.m=1"], ["anchors.m=1: aligner=ortho needs at least two anchors"]),
        (
            [BASE, "aligner=ortho", "anchors=param"],
            ["anchors=param learns", "random, fps or kmeans"],
        ),
        (
            [BASE, "aligner=ortho", "anchors.m=61"],
            ["from 60 support samples", "less, or anchors.m=all"],
        ),
        ([BASE, "aligner=consensus", "aligner.support=3"], ["aligner.support=3", "equal to 4"]),
        ([BASE, "aligner=consensus", "aligner.m=15"], ["aligner.m=15: these encoders have at most 14"]),
        (
            [BASE, "aligner=consensus", "aligner.ridge=0"],
            ["aligner.ridge=0: input", "than 0, or 'auto'"],
        ),
        (
            [BASE, "anchors=random", "anchors.m=most"],
            ["anchors.m='most': input should", "or 'all'"],
        ),
    ],
    ids=lambda value: " ".join("BASE" if v is BASE else v for v in value),
)
def test_a_wrong_request(refused, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    err = refused(*arguments)
    assert all(text in err for text in told), err
    assert left_behind(tmp_path) == []


def test_more_anchors_than_samples(refused):
    err = refused(BASE, "anchors=random", "anchors.m=9999")
    assert "anchors.m=9999: random picks from 60 support samples" in err
    assert "set anchors.m=60 or less, or use anchors=param" in err


def test_a_gpu_that_is_not_there(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "use runtime.device=auto or cpu" in refused(BASE, "runtime.device=cuda")
    assert "use runtime.precision=float32 or bf16" in refused(BASE, "runtime.precision=tf32")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_more_gpus_than_there_are(refused, monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    err = refused(BASE, f"runtime.device={device}", "runtime.devices=3")
    assert "runtime.devices=3: torch sees 2 here" in err and "use runtime.devices=2" in err


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_logger_that_is_not_installed(refused, monkeypatch, name):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda m, *rest: None if m == name else found(m, *rest))
    err = refused(BASE, f"logger={name}", "runtime.device=cpu")
    assert f"logger={name}: {name} is not installed" in err
    assert f"pip install {name}, or logger=csv" in err


def test_outputs_below_a_file(refused, tmp_path):
    (tmp_path / "taken").write_text("")
    for place in ("taken", "taken/below"):
        assert "a file is where a folder should be" in refused(BASE, f"paths.outputs={tmp_path / place}")
    assert (tmp_path / "taken").read_text() == ""


def test_outputs_on_a_full_disk(refused, small_disk):
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    assert "the disk is full (0.0 MiB free)" in refused(BASE, f"paths.outputs={small_disk / 'outputs'}")
    assert left_behind(small_disk) == [filler]


def test_outputs_on_a_read_only_disk(refused, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    err = refused(BASE, f"paths.outputs={small_disk / 'outputs'}")
    assert "the file system is read-only" in err
    assert "paths.outputs=DIR" in err


def test_problems_of_the_machine_are_told_together(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "taken").write_text("")
    err = refused(BASE, "runtime.device=cuda", f"paths.outputs={tmp_path / 'taken'}", "sim.name=wpi")
    assert err.count("error: ") == 3
    assert "sim.name=wpi: there is no such choice" in err


def test_a_defect_of_ours_has_another_exit_code(capsys, words, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(run, "run", broken)
    assert cli.main(words) == 1
    assert "ZeroDivisionError: a defect" in capsys.readouterr().err


def test_a_defect_of_ours_in_a_sweep(capsys, words, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(run, "run", broken)
    assert cli.main(["-m", *words, "seed=0,1"]) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["experiment=demo", "experiment.axes.seed=[]"], "at least 1 item"),
        (["experiment=demo", "experiment.axes.seed=5"], "should be a valid list"),
        (["experiment=demo", "~experiment.methods"], "experiment.methods is not set"),
        (["-m", "seed=interval(0,1)"], "an interval has no list of values"),
        (["--run", "experiment=demo"], "--run: not a flag here"),
        (["--cfg=job", "anchors=nope"], "anchors=nope"),
    ],
)
def test_odd_requests_are_refused_before_anything_starts(words, capsys, more, told):
    from relrep_exp.app.cli import main

    assert main([*words, *more]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
