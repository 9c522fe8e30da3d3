"""plan=true and `relrep plan`: what is done, to do and missing is told; nothing is started or written."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relrep_exp.app.plan import distinct, make_parts, make_plan
from relrep_exp.app.run import run as make_record
from relrep_exp.app.status import Pace, look_ahead
from relrep_exp.config.compose import Composer
from relrep_exp.config.overrides import parse
from relrep_exp.errors import UserError
from relrep_exp.store.files import CONF
from relrep_exp.store.records import RecordStore

LOCAL = ["experiment=demo", "profile=local"]


def forms(name):
    """The forms that an experiment's file names."""
    content = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text())
    return content["experiment"].get("profiles", {"paper": {}})


def rows(out):
    """Method -> the numbers of its line."""
    lines = (line.split() for line in out.splitlines())
    found = (line for line in lines if len(line) >= 6 and line[0] != "shared:")
    return {line[0]: line[1:5] for line in found if line[1].isdigit()}


@pytest.fixture
def outlook(outputs):
    """A function from words to their outlook."""

    def look(*words):
        return look_ahead(make_parts(parse([*words, f"paths.outputs={outputs}"]), sweep=True))

    return look


@pytest.fixture(scope="module")
def store(file, tiny_words, tmp_path_factory):
    """Words of a store, which no test changes, and its records: two of random anchors, one of the ceiling."""
    folder = tmp_path_factory.mktemp("store")
    words = tiny_words(file, folder / "outputs")
    runs = make_plan([*words, "anchors=random", "seed=0,1"], sweep=True)
    runs += make_plan([*words, "aligner=absolute"], sweep=True)
    return words, [make_record(run.request, run.command, folder / "run").record for run in runs]


@pytest.fixture
def finished(store):
    """The records of the store."""
    return store[1]


@pytest.fixture
def words(store):
    """The words of the store."""
    return store[0]


@pytest.fixture
def records(words):
    """The store's folder."""
    return Path(words[-1].removeprefix("paths.outputs=")) / "records"


def test_an_empty_store_has_all_to_do(told, outputs):
    code, out, err = told("plan", "experiment=table4", "profile=local", f"paths.outputs={outputs}")
    assert (code, err) == (0, "") and not outputs.exists()
    methods = ("param_single-wip", "param-wip", "random-cosine")
    assert rows(out) == {**{name: ["3", "0", "3", "0"] for name in methods}, "all": ["9", "0", "9", "0"]}
    assert "9 runs: 0 done, 9 to do, 0 missing something" in out and "time left: unknown" in out
    commands = [line.strip() for line in out.splitlines() if line.startswith("  python run.py")]
    assert len(commands) == 6 and "... and 3 more: " in out


def test_the_commands_that_are_left_make_the_runs(told, finished, words):
    asked = ["-m", *words, "anchors=random", "seed=0,1,2", "sim=wip,cosine"]
    code, out, _ = told("plan", *asked, "plan=commands")
    left = [make_plan(shlex.split(line)[2:], sweep=False)[0] for line in out.splitlines()]
    everything = make_plan(asked[1:], sweep=True)
    done = {record.key for record in finished}
    assert code == 0
    assert [run.key for run in left] == [run.key for run in everything if run.key not in done]
    assert len(left) == 4


def test_the_same_run_is_counted_once(outlook):
    found = outlook("experiment=table1,table4")  # of which no key is known, as nothing of the hub is here
    assert [len(expected) for _, expected in found.parts] == [24, 18]
    assert len(found.runs) == 24 and all(one.lacks for one in found.runs)
    assert len(outlook("experiment=fig3", "profile=local", "seed=0").runs) == 1 + 4 * 4


def test_what_is_missing_of_the_hub_is_told_without_asking_it(told, outputs, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    code, out, _ = told("plan=true", "experiment=table1", "seed=0", f"paths.outputs={outputs}")
    assert code == 0 and rows(out)["all"] == ["4", "0", "0", "4"]
    assert f"not in the hub's cache, {tmp_path / 'hub'}" in out
    assert out.count("(zoo.encoders.") == 4 and "data set uoft-cs/cifar100 (data)" in out
    assert f"-> python scripts/prefetch.py experiment=table1 seed=0 paths.outputs={outputs}" in out


def test_files_that_are_missing_are_told(told, words, tmp_path):
    code, out, _ = told("-m", *words, f"zoo.path={tmp_path / 'no.npz'}", "seed=0,1", "plan=true")
    assert code == 0 and "2 runs: 0 done, 0 to do, 2 missing something" in out
    assert out.count("no.npz: there is no such file") == 1


def test_a_request_that_is_wrong_is_refused(told, words):
    for wrong in (["seed=-1"], ["data=digits"], ["plan=maybe"], ["sim=wpi"]):
        code, out, err = told("plan", *words, *wrong)
        assert (code, out) == (2, "") and "error: " in err


def test_the_time_left_rests_on_the_records_that_are_most_alike(records, finished, words):
    earlier = list(RecordStore(records).parsed().values())
    assert len(earlier) == 3
    random, absolute = finished[:2], finished[2]
    embed = [record.timings["embed"] for record in random]
    took = [sum(record.timings.values()) - record.timings["embed"] for record in random]
    pace = Pace(earlier)

    def estimate(*more):
        return pace.of(make_plan([*words, *more], sweep=False)[0])

    same = estimate("anchors=random", "seed=7")
    assert same.seconds == pytest.approx(sum(took) / 2 + min(embed))  # embeddings are made once
    assert same.keys == {record.key for record in random}
    assert estimate("anchors=random", "anchors.m=6").keys == same.keys  # another number of anchors
    assert estimate("anchors=random", "sim=cosine") is None
    assert estimate("aligner=absolute", "seed=3").keys == {absolute.key}
    other = [word for word in words if not word.startswith("zoo.path")]
    gone = make_plan([*other, "zoo.path=/no/such.npz", "anchors=random"], sweep=False)[0]
    assert pace.of(gone).keys == same.keys  # its encoders are not known


def test_one_setting_rests_on_its_own_seeds(words, finished):
    [other] = make_plan([*words, "anchors=random", "anchors.m=6"], sweep=False)
    parts = [(r.key, r.task, r.method, r.config, {"fit": 1.0}) for r in finished]
    parts.append((other.key, "precomputed_stitch", "random-wip", other.request.identity, {"fit": 5.0}))
    names = ("key", "task", "method", "config", "timings")
    pace = Pace([dict(zip(names, part, strict=True)) for part in parts])
    for m, keys in ((5, {record.key for record in finished[:2]}), (6, {other.key})):
        [run] = make_plan([*words, "anchors=random", f"anchors.m={m}", "seed=9"], sweep=False)
        assert pace.of(run).keys == keys


def test_the_summary_says_on_how_many_records_it_rests(told, words):
    code, out, _ = told("plan", "-m", *words, "anchors=random", "seed=0,1,2,3", "sim=wip,cosine")
    assert code == 0
    assert "8 runs: 2 done, 6 to do, 0 missing something" in out
    assert re.search(r"time left on one worker: \d+ s for 2 runs, by 2 earlier records, and 4 of which", out)


def test_a_plan_sees_what_the_record_says(records, finished):
    record = finished[0]
    seen = RecordStore(records).parsed()[record.key]
    assert (seen["key"], seen["task"], seen["method"]) == (record.key, record.task, record.method)
    assert seen["config"] == json.loads(json.dumps(record.config))
    assert seen["timings"] == record.timings


@pytest.mark.parametrize("fault", ["cut", "other schema", "other key", "no json", "empty"])
def test_a_record_that_is_not_whole_is_not_done(records, finished, tmp_path, fault):
    copy = Path(shutil.copytree(records, tmp_path / "records"))
    path = copy / f"{finished[0].key}.json"
    text = path.read_text()
    path.write_text(
        {
            "cut": text[:-40],
            "other schema": text.replace('"schema": 1', '"schema": 99'),
            "other key": text.replace(finished[0].key, "0" * 24),
            "no json": text.replace('"config": {', '"config": '),
            "empty": "",
        }[fault]
    )
    assert RecordStore(copy).parsed().keys() == {record.key for record in finished[1:]}


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_can_be_planned_in(environment, words, records):
    outputs = records.parent
    before = sorted(outputs.rglob("*"))
    guard = (
        "import os, sys\n"
        "def refuse(event, args):\n"
        "    writes = event == 'open' and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)\n"
        "    changes = event in ('os.mkdir', 'os.rename', 'os.remove', 'socket.connect')\n"
        "    if writes or changes:\n"
        "        raise SystemExit(f'it does {event} {args}')\n"
        "sys.dont_write_bytecode = True\n"
        "sys.addaudithook(refuse)\n"
        "from relrep_exp.app.cli import main\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", guard, "plan", *words, "anchors=random"]
    outputs.chmod(0o555)
    done = subprocess.run(command, env=environment, cwd=CONF.parent, capture_output=True, text=True)
    outputs.chmod(0o755)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 run: 1 done, 0 to do" in done.stdout
    assert sorted(outputs.rglob("*")) == before


def test_several_experiments_have_each_run_once():
    parts = make_parts(parse(["experiment=demo,table4", "profile=local", "seed=0"]), sweep=False)
    assert [part.folder for part in parts] == ["demo", "table4-local"]
    assert [part.experiment.name for part in parts] == ["demo", "table4"]
    assert [len(part.runs) for part in parts] == [5, 3]
    runs = distinct(run for part in parts for run in part.runs)
    assert [run.key for run in runs] == [run.key for run in parts[0].runs]
    assert parts[1].command == "python run.py experiment=table4 profile=local seed=0"


def test_all_is_every_experiment_that_has_the_form():
    listed = yaml.safe_load((CONF / "experiment" / "all.yaml").read_text())["experiments"]
    files = {path.stem for path in (CONF / "experiment").glob("*.yaml")} - {"all", "irp"}  # collections
    assert set(listed) == files and len(listed) == len(files)
    with Composer() as composer:
        named = composer.experiments(parse(["seed=0", "experiment=all", "profile=local"]))
    local = [name for name in listed if "local" in forms(name)]
    assert list(named) == local and len(local) >= 9
    words = [[str(word.input_line) for word in own] for own in named.values()]
    assert words == [["seed=0", f"experiment={name}", "profile=local"] for name in local]


def test_a_word_that_does_not_fit_is_told_with_the_experiment_that_it_does_not_fit():
    with pytest.raises(UserError) as refused:
        make_plan(["experiment=fig5,fig2", "profile=local", "zoo.anisotropy=10", "seed=-1"], sweep=False)
    both, own = sorted((problem.what for problem in refused.value.problems), reverse=True)
    assert both.startswith("seed=-1")
    assert own.startswith("experiment=fig2: zoo.anisotropy is not a key")
    with pytest.raises(UserError, match=r"experiment=demmo: there is no such choice"):
        make_plan(["experiment=demmo,table1"], sweep=False)


def test_a_launcher_is_not_swept_over(words):
    with pytest.raises(UserError, match="several values in hydra/launcher=basic,joblib"):
        make_plan([*words, "hydra/launcher=basic,joblib"], sweep=True)


def test_two_experiments_in_one_command_share_their_runs_and_both_close(told, tiny_words, file, outputs):
    words = [*tiny_words(file, outputs), "seed=0"]
    words += ["~experiment.methods.param-wip", "~experiment.methods.param_single-wip"]
    code, out, err = told("experiment=demo,table1", *words)
    assert code == 0, err
    assert "3 records in" in out and len(list((outputs / "records").glob("*.json"))) == 3
    for name in ("demo", "table1"):
        files = {path.name for path in (outputs / "report" / name).iterdir()}
        assert {"table.csv", "figure.png", "experiment.json"} <= files
    folders = list((outputs / "runs").rglob("*"))
    code, again, err = told("experiment=table1,demo", *words)
    assert code == 0, err
    assert "3 records in" in again and len(re.findall(r"^#\d .*cached$", again, re.M)) == 3
    assert list((outputs / "runs").rglob("*")) == folders


def test_a_key_that_some_methods_have_is_set_in_those(words):
    runs = make_plan(["experiment=demo", *words, "seed=0", "aligner.statistics=support"], sweep=False)
    asked = {run.arm.method: "aligner.statistics=support" in run.overrides for run in runs}
    assert asked == {method: method != "absolute" for method in asked} and len(asked) == 5
    assert {run.config.aligner.statistics for run in runs if run.arm.method != "absolute"} == {"support"}
    swept = make_plan(["experiment=demo", *words, "seed=0", "aligner.support=20,30"], sweep=False)
    assert len(swept) == 10 and len({run.key for run in swept}) == 9  # absolute stands at both values
    with pytest.raises(UserError, match=r"aligner\.suport is not a key"):
        make_plan(["experiment=demo", *words, "aligner.suport=20"], sweep=False)
