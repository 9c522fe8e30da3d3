"""One run is one record: made once, found again, left alone by other runs, replaced only when asked."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from relrep_exp.app import cli
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
from relrep_exp.config.load import load
from relrep_exp.store.records import RecordStore
from relrep_exp.tasks import held_out, measure
from relrep_exp.tasks.identity import param_identity


def stamps(folder):
    """What changes when a file is written again, for every file of a folder."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file() and ".locks" not in path.parts}
    return {str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def majority(work, jobs, classes):
    """A decoder that is not trained."""

    class Zero:
        def predict(self, x):
            return x.new_zeros(len(x)).long()

    return [Zero() for _ in jobs]


@pytest.fixture
def counted(monkeypatch):
    """The list that grows by one entry with each run that is computed."""
    computed = []
    before = measure.measure
    monkeypatch.setattr(measure, "measure", lambda *given: computed.append(given) or before(*given))
    return computed


def test_the_second_time_nothing_is_computed_nor_imported_for_it(told, python_run, words, outputs):
    code, first, err = told(*words, "anchors=random")
    assert code == 0, err
    assert "computed in" in first
    last = first.splitlines()[-1]
    assert last.startswith("record: ")
    assert json.loads(Path(last.removeprefix("record: ")).read_text())["method"] == "random-wip"
    before = stamps(outputs / "records")

    second = python_run(*words, "anchors=random", python=["-X", "importtime"])
    assert second.returncode == 0
    table = first.split("computed in")[0]
    assert second.stdout == f"{table}read from the record: nothing was computed\n{last}\n"
    imported = {line.split("|")[-1].strip() for line in second.stderr.splitlines()}
    assert "hydra" in imported
    # numpy reads the headers of the file, of which the key has a digest
    heavy = {"torch", "pytorch_lightning", "sklearn", "wandb", "pandas", "matplotlib"}
    assert not imported & {*heavy, "relrep_exp.app.plan", "relrep_exp.report.tables.paper_numbers"}
    assert stamps(outputs / "records") == before


def test_the_record_says_what_was_run(run, config_of, outputs):
    outcome = run("anchors=random", "sim=cosine", "seed=3")
    assert outcome.fresh
    record = outcome.record
    assert outcome.path == outputs / "records" / f"{record.key}.json"
    assert (record.task, record.method, record.config["seed"]) == ("precomputed_stitch", "random-cosine", 3)
    assert record == RecordStore(outputs / "records").find(
        Request(config_of("anchors=random", "sim=cosine", "seed=3")).key
    )
    assert {"embed", "align", "join", "decoders", "measure"} == record.timings.keys()
    assert record.provenance["command"] == "python run.py"


def test_the_precision_is_part_of_what_it_changes_and_of_nothing_else(config_of):
    def key(*words):
        return Request(config_of(*words)).key

    low = "runtime.precision=bf16"
    plain = key("anchors=param")
    assert plain == key("anchors=param", "runtime.precision=float32") != key("anchors=param", low)
    assert key("anchors=random", low) == key("anchors=random")
    one, two = (param_identity(config_of("anchors=param", *more), {"k": 0.15}, ["k"]) for more in ([], [low]))
    assert one != two
    k, config = (
        {"k": 0.15},
        config_of("anchors=param"),
    )  # learned on paired sentences, with mean and covariance of reviews
    assert param_identity(config, k, ["reviews"]) != param_identity(config, k, ["others"]) != one


def test_another_run_leaves_records_and_fits_alone(run, outputs):
    param = ("anchors=param", "anchors.epochs=3")
    run(*param)
    before = stamps(outputs)
    assert len([name for name in before if name.endswith("manifest.json")]) == 3  # one fit per test encoder
    for more in (["anchors=random", "sim=cosine"], [*param, "seed=1"], [*param, "anchors.m=6"]):
        assert run(*more).fresh
    after = stamps(outputs)
    assert before.items() <= after.items()
    assert len([name for name in after if "/records/" in name]) == 4


def test_param_fits_are_shared(run, outputs, monkeypatch):
    param = ("anchors=param", "anchors.epochs=3")
    first = run(*param)
    fits = stamps(outputs / "checkpoints")
    assert not (outputs / "embeddings").exists()  # the user's file is not copied
    monkeypatch.setattr("relrep_exp.alignment.param.learn.fit", None)
    monkeypatch.setattr("relrep_exp.tasks.stitching.fit_decoders", majority)
    for more in (["decoder=mlp_paper"], ["task.neighbours=5"]):
        other = run(*param, *more)
        assert other.fresh and other.record.key != first.record.key
        assert other.record.curves == first.record.curves
    assert stamps(outputs / "checkpoints") == fits
    with pytest.raises(TypeError, match="NoneType"):
        run(*param, "anchors.epochs=4")


def test_param_single_is_learned_once_per_decoder(run, outputs):
    param = ("anchors=param_single", "anchors.epochs=2")
    outcome = run(*param)
    fits = stamps(outputs / "checkpoints")
    assert outcome.record.curves.keys() == {"a", "b", "c"}
    assert len(fits) == 2 * 3
    assert run(*param, "sim=cosine").fresh  # without symNCE the similarity plays no part in learning P
    assert stamps(outputs / "checkpoints") == fits


def test_missing_reads_always_makes_everything_anew_never_only_reads(run, counted, outputs):
    param = ("anchors=param", "anchors.epochs=2")
    first = run(*param)
    before = stamps(outputs)
    assert first.fresh and not run(*param).fresh and not run(*param, "overwrite=never").fresh
    assert len(counted) == 1 and stamps(outputs) == before
    again = run(*param, "overwrite=always")
    assert again.fresh and len(counted) == 2
    assert again.record.rows == first.record.rows and again.record.key == first.record.key
    after = stamps(outputs)
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)


def test_a_failing_run_leaves_no_record_and_the_next_one_succeeds(run, outputs, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(held_out, "_samples_view", lambda *_: 1 / 0)
        run("anchors=random")
    assert stamps(outputs) == {}
    assert run("anchors=random").fresh


def test_a_record_is_read_where_nothing_can_be_written(run, words, small_disk, capsys):
    here = f"paths.outputs={small_disk / 'outputs'}"
    run("anchors=random", here)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    never = [*words, "anchors=random", here, "overwrite=never"]
    assert cli.main(never) == 0
    assert "nothing was computed" in capsys.readouterr().out
    assert cli.main(["-m", *never, "sim=wip"]) == 0
    assert "1 records in" in capsys.readouterr().out
    assert cli.main(["-m", *never, "seed=0,1"]) == 2
    assert "seed=1" in capsys.readouterr().err


# Keys


def leaves(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.fixture
def key_with(words):
    """A function from overrides and changed values to the run's key; values are changed after composing."""
    from omegaconf import OmegaConf

    from relrep_exp.app.plan import Composer

    composed = {}

    def key(overrides, changes):
        if tuple(overrides) not in composed:
            with Composer() as composer:
                composed[tuple(overrides)] = composer.compose(overrides)
        config = composed[tuple(overrides)].copy()
        OmegaConf.resolve(config)
        for name, value in changes.items():
            OmegaConf.update(config, name, value, force_add=True)
        return Request(load(config)).key, config

    return key


CHOICES = {
    "data.name": None,  # with its zoo
    "data.kind": None,
    "anchors.start": "consensus",
    "parallel.kind": None,  # with its data
    "parallel.name": "other",
    "parallel.use": "where_needed",
    "runtime.batch": "auto",
    "runtime.resize": "device",
    "runtime.precision": "bf16",
    "runtime.offline": True,
    "runtime.compile": True,
    "runtime.channels_last": True,
    "zoo.kind": None,
    "zoo.path": None,  # the content counts, tested below
    "zoo.encoders": ["a", "b"],
    "zoo.name": "other_zoo",
    "aligner.name": "absolute",
    "aligner.statistics": "support",
    "anchors.name": "param_single",
    "sim.name": "cosine",
    "decoder.name": "mlp_paper",
    "decoder.kernel": "poly",
    "decoder.scaling": "none",
    "task.kind": None,  # there is one
    "task.name": "other_stitch",
    "task.test_encoders": ["a"],
    "overwrite": "always",
    "profile": "local",
    "plugins": [],
    "runtime.device": "cpu",
    "runtime.progress": "off",
    "logger.name": "csv",
    "logger.mode": "online",
    "logger.project": "other",
    "logger.entity": "me",
    "aligner.shrinkage": 0.4,
    "task.permutations": 20,
    "aligner.standardise": "mean",
    "geometry.shrinkage": 0.4,
    "geometry.standardise": "mean",
    "geometry.pairs": "all",
    "paths.outputs": "elsewhere",
}
RELEVANT = ("runtime.precision",)  # of PARAM, though it is of the machine
IRRELEVANT = (
    "geometry.",  # aligners have taken theirs from it by now
    "runtime.",
    "logger.",
    "paths.",
    "overwrite",
    "plan",
    "profile",
    "plugins",
    "zoo.name",
    "parallel.",
    "data.param_batch",
)


def changed(name, value):
    """Another valid value of a key."""
    if name.endswith(".architecture"):
        return "gru" if value != "gru" else "mlp"
    if name == "anchors.pairs":
        return "support" if value == "all" else "all"
    if name in CHOICES:
        return CHOICES[name]
    if name.endswith((".dim", ".heads")):
        return 2 * value  # a ViT's heads must divide its dimension
    if isinstance(value, int):
        return value + 1
    return value * 1.5 if value else 0.5


@pytest.mark.parametrize(
    ("task", "decoder"),
    [("precomputed_stitch", "mlp"), ("digits_stitch", "linear"), ("precomputed_stitch", "svm")],
)
def test_the_key_holds_what_determines_the_numbers_and_nothing_else(key_with, file, task, decoder):
    overrides = [f"task={task}", f"decoder={decoder}", "anchors=param", "logger=wandb"]
    overrides += [f"zoo.path={file}"] if task == "precomputed_stitch" else []
    first, config = key_with(overrides, {})
    from omegaconf import OmegaConf

    seen = 0
    for name in leaves(OmegaConf.to_container(config)):
        value = changed(name, OmegaConf.select(config, name))
        if value is None or name == "aligner.name" or (name == "decoder.name" and decoder != "mlp"):
            continue
        same = key_with(overrides, {name: value})[0] == first
        assert same == (name.startswith(IRRELEVANT) and name not in RELEVANT), name
        seen += 1
    assert seen > 30


def test_anchors_and_similarity_play_no_part_in_absolute(key_with, words):
    absolute = key_with([*words, "aligner=absolute"], {})[0]
    for more in (["anchors=random"], ["sim=cosine"], ["anchors.m=7"], ["anchors=param", "anchors.epochs=3"]):
        assert key_with([*words, "aligner=absolute", *more], {})[0] == absolute
        assert key_with([*words, *more], {})[0] != absolute
    assert key_with([*words, "aligner=absolute", "seed=1"], {})[0] != absolute


def test_an_experiment_is_no_part_of_the_key(tmp_path):
    where = [f"paths.outputs={tmp_path}", "logger=none"]
    runs = make_plan(["experiment=demo", "seed=0", *where], sweep=False)
    assert len({run.key for run in runs}) == len(runs) == 5
    for run in runs[::4]:
        own = [word for word in run.overrides if not word.startswith("experiment=")]
        alone = make_plan(own, sweep=False)[0].config
        assert alone.experiment is None and run.config.experiment is not None
        assert Request(alone).key == Request(run.config).key
        assert run.command == " ".join(["python run.py", "task=digits_stitch", *own])


def test_the_files_content_counts_and_its_place_does_not(words, file, arrays, tmp_path):
    def key(path):
        return Request(make_plan([*words, f"zoo.path={path}"], sweep=False)[0].config).key

    copy, other = tmp_path / "copy.npz", tmp_path / "other.npz"
    copy.write_bytes(file.read_bytes())
    np.savez(other, **{**arrays, "a": arrays["a"] + 1e-6})
    assert key(copy) == key(file) != key(other)


def test_the_batch_of_few_samples_is_the_default_of_the_anchors(key_with):
    digits = ["task=digits_stitch"]
    assert key_with([*digits, "data.param_batch=64"], {})[0] == key_with([*digits, "anchors.batch=64"], {})[0]
