"""plan=true and `relrep plan`: what is done, to do, missing and shared; nothing is started or written."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from relrep_exp.app.plan import make_parts, make_plan
from relrep_exp.app.run import run as make_record
from relrep_exp.app.status import Pace, look_ahead, param_fits, reuse
from relrep_exp.config.overrides import parse
from relrep_exp.config.schema import PrecomputedZoo
from relrep_exp.encoders import precomputed
from relrep_exp.encoders.embed import embed_all
from relrep_exp.store.files import CONF
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks import work
from relrep_exp.training.device import Runtime


def rows(out):
    """Method -> the numbers of its line."""
    lines = (line.split() for line in out.splitlines())
    found = (line for line in lines if len(line) >= 6 and line[0] != "shared:")
    return {line[0]: line[1:5] for line in found if line[1].isdigit()}


@pytest.fixture(scope="module")
def store(file, tiny_words, tmp_path_factory):
    """Words of a store, which no test changes, and its records: two of random anchors, one of the ceiling."""
    folder = tmp_path_factory.mktemp("store")
    given = [word for word in tiny_words(file, folder / "outputs") if not word.startswith("decoder.")]
    words = [*given[:-1], "decoder=linear", given[-1]]
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
    asked = ["-m", *words, "anchors=random", "seed=0,2", "sim=wip,cosine"]
    code, out, _ = told("plan", *asked, "plan=commands")
    left = [make_plan(shlex.split(line)[2:], sweep=False)[0] for line in out.splitlines()]
    everything = make_plan(asked[1:], sweep=True)
    done = {record.key for record in finished}
    assert code == 0
    assert [run.key for run in left] == [run.key for run in everything if run.key not in done]
    assert len(left) == 3


def test_what_is_missing_of_the_hub_is_told_once_without_asking_it(told, outputs, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    words = ["experiment=table6,table2", "seed=0", f"paths.outputs={outputs}"]
    code, out, _ = told("plan=true", *words)
    assert code == 0 and rows(out)["all"] == ["4", "0", "0", "4"]  # of table2, whose runs are table6's
    assert "4 runs (asked for 8 times): 0 done, 0 to do, 4 missing something" in out
    assert f"not in the hub's cache, {tmp_path / 'hub'}" in out
    assert out.count("(zoo.encoders.") == 5 and "data set facebook/xnli (parallel)" in out
    assert f"-> python scripts/prefetch.py {' '.join(words)}" in out


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

    def run_of(*more):
        return make_plan([*words, *more], sweep=False)[0]

    pace, other = Pace(earlier), run_of("anchors=random", "anchors.m=6")
    same = pace.of(run_of("anchors=random", "seed=7"))
    assert same.seconds == pytest.approx(sum(took) / 2 + min(embed))  # embeddings are made once
    assert same.keys == {record.key for record in random}
    assert pace.of(other).keys == same.keys  # another number of anchors
    assert pace.of(run_of("anchors=random", "sim=cosine")) is None
    assert pace.of(run_of("aligner=absolute", "seed=3")).keys == {absolute.key}
    gone = run_of("zoo.path=/no/such.npz", "anchors=random")
    assert pace.of(gone).keys == same.keys  # its encoders are not known

    fast = {"key": other.key, "task": "precomputed_stitch", "method": "random-wip", "timings": {"fit": 5.0}}
    pace = Pace([*earlier, {**fast, "config": other.request.identity}])
    for m, keys in ((5, same.keys), (6, {other.key})):  # one setting rests on its own seeds
        assert pace.of(run_of("anchors=random", f"anchors.m={m}", "seed=9")).keys == keys


def test_the_summary_says_on_how_many_records_it_rests(told, words, finished):
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
def test_a_folder_that_cannot_be_written_can_be_planned_in(environment, words, records, finished):
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


# What runs share

GIVEN = "aligner.shrinkage=0.15"  # of one that is chosen nobody knows before which P it needs
SWEPT = ["anchors=param,param_single", "anchors.epochs=1", "decoder=linear,svm", GIVEN]


def shared(out):
    """What a plan says is shared."""
    lines = [line.removeprefix("shared: ").split("; ") for line in out.splitlines() if "shared" in line]
    return lines[0] if lines else []


def test_the_plan_says_what_is_shared_and_what_of_it_is_there(any_run, told, small, monkeypatch, tmp_path):
    monkeypatch.setattr(work, "KEPT_FROM_GFLOP", 0.0)
    code, out, _ = told("plan", "-m", *small, *SWEPT)
    assert code == 0  # a P for each of three test encoders, and one on each of three encoders
    assert shared(out) == ["6 PARAM fits by 4 runs", "3 encoders' statistics, if large, by 4 runs"]
    any_run("anchors=param", "anchors.epochs=1", GIVEN)
    _, out, _ = told("plan", "-m", *small, *SWEPT)
    assert shared(out) == [
        "6 PARAM fits by 3 runs (3 there already)",
        "3 encoders' statistics, if large, by 3 runs (3 there already)",
    ]
    _, out, _ = told("plan", "-m", *small, *SWEPT, "overwrite=always")
    assert shared(out) == ["6 PARAM fits by 4 runs", "3 encoders' statistics, if large, by 4 runs"]
    gone = [*small, f"zoo.path={tmp_path}/no.npz"]  # told apart by how it is configured
    _, out, _ = told("plan", "-m", *gone, "zoo.encoders=[a,b,c]", *SWEPT)
    assert shared(out)[0] == "6 PARAM fits by 4 runs"
    _, out, _ = told("plan", "-m", *gone, *SWEPT)
    assert not any("PARAM" in needed for needed in shared(out))


def test_the_plan_knows_the_fits_of_a_run(config_of):
    several, single = config_of("anchors=param"), config_of("anchors=param_single")
    first = replace(single, anchors=replace(single.anchors, learned_on="first"))
    for config, targets, fits in (
        (several, None, [["b", "c"], ["a", "c"], ["a", "b"]]),
        (several, ["b"], [["a", "c"]]),
        (single, None, [["a"], ["b"], ["c"]]),
        (single, ["b"], [["a"], ["b"], ["c"]]),
        (first, None, [["b"], ["a"], ["a"]]),
    ):
        asked = replace(config, task=replace(config.task, test_encoders=targets))
        assert list(param_fits(asked, "abc")) == fits


def test_a_run_makes_the_fits_that_the_plan_knows(any_run, small):
    for more in (["task.test_encoders=[b]"], ["anchors.learned_on=first"]):
        words = ["anchors=param_single", "anchors.epochs=1", GIVEN, *more]
        [asked] = make_plan([*small, *words, "decoder=linear"], sweep=False)
        [param] = [kind for kind in reuse([asked]) if kind.kind == "checkpoints"]
        any_run(*words)
        assert param.there == len(param.places)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_the_names_of_embeddings_are_known_without_reading_them(arrays, tmp_path, suffix):
    path, shuffled = tmp_path / f"mine.{suffix}", dict(reversed(arrays.items()))
    if suffix == "npz":
        np.savez(path, **shuffled)
    else:
        save_file(shuffled, path, metadata={"made": "here"})
    for encoders in (None, ["c", "a"]):
        zoo = PrecomputedZoo(kind="precomputed", path=str(path), encoders=encoders)
        known = precomputed.keys(zoo, 0)
        assert list(known.items()) == list(precomputed.load(zoo, 0).keys.items())


def embedded(request):
    """The embeddings of a run."""
    for data in request.samples:
        data.load(request.views)
    runtime = Runtime.of(request.config.runtime)
    return embed_all(request.config, request.encoders, request.samples, runtime, request.missing)


def test_the_embeddings_of_made_up_points_and_of_paired_texts_are_known(outputs, tmp_path):
    for language in ("de", "en"):
        (tmp_path / f"{language}.txt").write_text("".join(f"{language} line {n}\n" for n in range(40)))
    texts = ["task=marc_stitch", "data=template_reviews", "data.train=60", "data.test=20", "zoo=lsa"]
    texts += ["parallel=files", f"parallel.root={tmp_path}", "parallel.use=always"]
    texts += [*(f"~zoo.encoders.{name}" for name in ("es", "fr", "zh")), "zoo.encoders.de.dim=6"]
    points = ["task=geometry", "data.train=40", "data.test=20"]
    for words, count in ((points, 8), ([*texts, "zoo.encoders.en.dim=5"], 4)):
        [asked] = make_plan([*words, "runtime.device=cpu", f"paths.outputs={outputs}"], sweep=False)
        request = asked.request
        known = request.embedding_keys(request.paired), request.embedding_keys(request.own)
        embeddings = embedded(request)
        assert dict(known[0]) == dict(embeddings.keys)
        assert count == 8 or dict(known[1]) == dict(embeddings.task_keys)
        [kept] = [kind for kind in reuse([asked]) if kind.kind == "embeddings"]
        assert {place.name for place in kept.places} == {*known[0].values(), *known[1].values()}
        assert kept.there == len(kept.places) == count


def test_images_that_are_resized_elsewhere_have_embeddings_of_their_own(outputs):
    words = ["task=cifar_stitch", "runtime.resize=worker,device", f"paths.outputs={outputs}"]
    parts = make_parts(parse(words), sweep=True)
    kept = next(kind for kind in look_ahead(parts).reuse if kind.kind == "embeddings")
    assert len(kept.places) == 2 * 4  # of as many encoders
