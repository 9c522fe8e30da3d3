"""The configuration files: every one composes, their defaults are the schema's and the paper's."""

import operator
import re
import shlex
import subprocess
import sys
from dataclasses import MISSING, asdict, fields
from functools import cache, reduce
from pathlib import Path

import pytest
import yaml
from hydra import compose
from omegaconf import OmegaConf
from pydantic import TypeAdapter

import relrep_exp
from relrep_exp.alignment.param.learn import ParamSettings
from relrep_exp.alignment.whitening import EPS, SHRINKAGE
from relrep_exp.app.plan import check_names, make_plan
from relrep_exp.config import schema
from relrep_exp.config.compose import Composer
from relrep_exp.config.load import load
from relrep_exp.store.files import CONF

# Group -> its files: a new one is counted here, and so is known to be composed below.
FILES = {
    "aligner": 11,
    "anchors": 6,
    "data": 18,
    "decoder": 5,
    "experiment": 26,
    "hydra/help": 1,
    "hydra/launcher": 5,
    "hydra/sweeper": 1,
    "logger": 4,
    "parallel": 7,
    "runtime": 2,
    "sim": 9,
    "task": 12,
    "zoo": 18,
}
OPTIONS = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in FILES}
# Experiment -> its runs: methods, points of the axes, seeds.
RUNS = {
    "anchors": 4 * 3,
    "consensus": 6 * 7 * 6,
    "demo": 5 * 3,
    "fig1": 5 * 12,
    "fig2": 4 * 6,
    "fig3": 5 * 6 * 6,
    "fig4": 2 * 9 * 6,
    "fig5": 5 * 3 * 6,
    "irp": (5 * 8 + 3 + 5 * 6) * 6,
    "irp_inversion": 5 * 8 * 6,
    "irp_scale": 3 * 6,
    "irp_stitching": 5 * 6 * 6,
    "lst_anchors": 5 * 7 * 6,
    "lst_architecture": 5 * 4 * 2 * 6,
    "lst_autoencoding": 8 * 2 * 6,
    "lst_modality": 5 * 6,
    "lst_scaling": 5 * 3 * 6,
    "sensitivity": 3 + 73 + 2 + 4,  # of one seed: methods, values of `vary`, of two methods' own variations
    "table1": 4 * 6,
    "table2": 4 * 6,
    "table3": 2 * 6,
    "table4": 3 * 6,
    "table6": 4 * 6,
    "table7": 2 * 6,
    "versus": 14 * 2 * 6,
}
COLLECTIONS = {"irp": ("irp_inversion", "irp_scale", "irp_stitching")}
CHOICES = [(group, name) for group, names in OPTIONS.items() for name in names if name != "all"]

TABLE_5 = {
    "m": 300,
    "temperature": 2.9,
    "epochs": 95,
    "lr": 0.03,
    "batch": 1024,
    "nce_weight": 0.70,
    "nce_temperature": 0.10,
    "coverage_weight": 11.3,
    "coverage_temperature": 2.7,
    "orthogonality_weight": 0.27,
    "length_weight": 1.2,
}
OPEN = {"coverage_chunk": 16384, "init_std": 1.0, "start": "normal", "pairs": "all"}


def values(group, name):
    """What a file says, on top of the file of its group that it begins with."""
    said = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    bases = [values(group, base) for base in said.pop("defaults", []) if base in OPTIONS[group]]
    return reduce(operator.or_, [*bases, said])


def test_every_file_is_counted_and_says_what_it_is():
    assert {group: len(names) for group, names in OPTIONS.items()} == FILES
    assert len([path for path in CONF.rglob("*") if path.is_file()]) == 1 + sum(FILES.values())
    for path in CONF.rglob("*.yaml"):
        assert path.parent.name == "help" or "# " in path.read_text()[:60], path


def seeds(name):
    """How many an experiment has of itself; those of a collection have as many each."""
    own = values("experiment", COLLECTIONS.get(name, (name,))[0])["experiment"]
    return 1 if name == "sensitivity" else len(own["axes"]["seed"])


# Groups of which no choice minds another's: number n of each are composed together.
TOGETHER = ("anchors", "decoder", "hydra/launcher", "logger", "runtime", "sim")


def choose(group, name):
    if group not in TOGETHER:
        return [f"{group}={name}"]
    number = OPTIONS[group].index(name)
    return [f"{one}={OPTIONS[one][number % len(OPTIONS[one])]}" for one in TOGETHER]


@cache
def composed(*words):
    return make_plan(words, sweep=False)


def run_of(file, group, name):
    """A run with this choice."""
    own = [f"task=precomputed_stitch zoo.path={file}", "task=digits_stitch"]
    words = own[0 if "precomputed" in name else 1].split()
    if group == "task":
        words = words if name == "precomputed_stitch" else [f"task={name}"]
    else:
        words += [*choose(group, name), *["parallel.path=x"] * (name == "translated")]
    [run] = composed(*words)
    return run.config


@pytest.mark.parametrize(("group", "name"), [choice for choice in CHOICES if choice[0] != "experiment"])
def test_every_option_makes_a_valid_run(file, group, name):
    config = run_of(file, group, name)
    if "/" not in group:
        node = getattr(config, group)
        assert getattr(node, "name", getattr(node, "kind", "default")) == name or group == "runtime"


@pytest.mark.parametrize("name", RUNS)
def test_every_name_of_an_experiment_exists(name):
    check_names([f"experiment={name}"])


@pytest.mark.parametrize(
    "name", [name if name == "demo" else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_an_experiment_makes_valid_runs(name):
    runs = make_plan([f"experiment={name}", "seed=0"], sweep=False)
    assert len(runs) == RUNS[name] / seeds(name)
    assert all(run.config.experiment.name in (name, *COLLECTIONS.get(name, ())) for run in runs)


@pytest.mark.parametrize(
    ("words", "batch"),
    [
        (["task=marc_stitch"], 1024),
        (["task=marc_stitch", "parallel=sib200"], 256),
        (["task=marc_stitch", "data=template_reviews"], 512),  # paired themselves: parallel=xnli has no part
        (["task=marc_stitch", "data=template_reviews", "parallel.use=always"], 1024),
        (["task=cifar_stitch"], 1024),
        (["task=slm_retrieval"], 1024),
        (["experiment=table3", "seed=0"], 1024),
        (["experiment=table7", "seed=0"], 1024),
        (["experiment=table7", "profile=local", "seed=0"], 256),
        (["task=digits_stitch", "anchors.batch=64"], 64),
    ],
)
def test_the_batch_of_param_suits_what_it_learns_on(words, batch):
    [*_, run] = make_plan(words if "experiment" in words[0] else ["anchors=param", *words], sweep=False)
    assert run.config.anchors.batch == batch


@pytest.mark.parametrize(
    ("name", "own"), [("param", {}), ("param_single", {"learned_on": "decoder"})], ids=["multi", "single"]
)
def test_param_has_the_papers_hyperparameters(name, own):
    """As files, as a composed configuration and from Python, where nobody says otherwise."""
    [run] = make_plan([f"anchors={name}", "task=cifar_stitch"], sweep=False)
    assert asdict(run.config.anchors) == {"name": name, **TABLE_5, **OPEN, **own}
    settings = asdict(ParamSettings())
    assert settings | {"m": 300} == {**TABLE_5, **OPEN, "pairs": "support"}
    assert values("data", "digits")["param_batch"] == 256


def test_param_compares_all_pairs_in_the_tasks_of_its_paper_alone():
    papers = {"digits_stitch", "cifar_stitch", "marc_stitch", "slm_retrieval", "mnist_ae", "geometry"}
    tasks = {path.stem for path in (CONF / "task").glob("*.yaml")}
    words = {"precomputed_stitch": ["zoo.path=x"], "modality_stitch": ["data.root=x"]}
    for task in sorted(tasks):
        [run] = make_plan(["anchors=param", f"task={task}", *words.get(task, [])], sweep=False)
        assert run.config.anchors.pairs == ("all" if task in papers else "support"), task
    [run] = make_plan(["anchors=param", "task=sib200_stitch", "anchors.pairs=all"], sweep=False)
    assert run.config.anchors.pairs == "all"


def test_table_5_stands_in_one_place():
    """Beside its hyperparameters' names no other file has its numbers."""
    for one in fields(schema.ParamAnchors):
        assert one.default is MISSING, one.name
    here = CONF / "anchors" / "param.yaml"
    package = Path(relrep_exp.__file__).parent
    searched = [*package.rglob("*.py"), *(path for path in CONF.rglob("*.yaml") if path != here)]
    assert len(searched) > 200
    for key, value in {**TABLE_5, "coverage_chunk": 16384}.items():
        if key != "m":  # of every anchor strategy
            beside = re.compile(rf"\b{key}\b(: [\w.]+)?\s*[:=]\s*{re.escape(str(value))}0*\b")
            assert beside.search(here.read_text().replace("${param_batch:", "")), key
            assert [path for path in searched if beside.search(path.read_text())] == [], key


def test_a_relative_representation_has_the_papers_constants():
    paper = {
        "support": 5000,
        "shrinkage": SHRINKAGE,
        "standardise": "none",
        "eps": EPS,
        "statistics": "train",
    }
    assert asdict(composed("task=digits_stitch")[0].config.aligner) == {"name": "relative", **paper}
    assert (SHRINKAGE, EPS) == (0.15, 5e-8)


METHODS = ("aligner", "anchors", "sim", "decoder", "runtime", "logger")
# What a task may set for itself, so that it is no default.
TASKS_OWN = {
    "aligner": {"shrinkage", "standardise"},
    "anchors": {"m", "batch"},
    "data": {"param_batch"},
    "runtime": {"threads"},
}
FILES_OWN = {"runtime/ddp": {"devices"}}  # what a file is there for


@pytest.mark.parametrize(
    ("group", "name"),
    [(g, n) for g, n in CHOICES if g in METHODS or (g, n) in (("data", "digits"), ("task", "digits_stitch"))],
)
def test_defaults_of_schema_and_files_agree(file, group, name):
    """What a file leaves out means what the file of the same kind spells out."""
    node = getattr(run_of(file, group, name), group)
    spelled = values(group, name)
    spelled = spelled.get("task", spelled) if group == "task" else spelled
    tasks_own = TASKS_OWN.get(group, set()) | FILES_OWN.get(f"{group}/{name}", set())
    compared = 0
    for one in fields(node):
        if one.default is MISSING or one.name in tasks_own or one.name not in spelled:
            continue
        assert getattr(node, one.name) == spelled[one.name] == one.default, one.name
        compared += 1
    assert compared >= {"aligner/relative": 3, "decoder/mlp": 5, "runtime/default": 3}.get(
        f"{group}/{name}", 0
    )


def test_every_key_of_the_schema_is_in_the_files():
    """So that --cfg job shows all there is, and every key can be set without a plus."""
    words = ["logger=wandb", "decoder=mlp", "anchors=param", "task=digits_stitch"]
    [config] = (run.config for run in make_plan(words, sweep=False))
    for kind, spelled in [
        (config.anchors, values("anchors", "param")),
        (schema.LinearConfig(name="linear"), values("decoder", "linear")),
        (schema.SvmConfig(name="svm"), values("decoder", "svm")),
        (config.decoder, values("decoder", "mlp")),
        (config.aligner, values("aligner", "relative")),
        (config.runtime, values("runtime", "default")),
        (config.logger, values("logger", "wandb")),
        (config.task, values("task", "digits_stitch")["task"]),
        (config.data, values("data", "digits")),
        (config.parallel, values("parallel", "own")),
    ]:
        assert {one.name for one in fields(kind)} == spelled.keys()


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, n in CHOICES if g in ("data", "parallel", "zoo")])
def test_every_key_of_data_and_encoders_is_in_their_files(group, name):
    adapter = TypeAdapter(
        {"data": schema.DataConfig, "parallel": schema.ParallelConfig}.get(group, schema.ZooConfig)
    )
    spelled = {key: "x" if value == "???" else value for key, value in values(group, name).items()}
    node = adapter.validate_python(spelled)
    assert {one.name for one in fields(node)} == spelled.keys()
    if group == "zoo" and name in (
        "vision",
        "bert",
        "slm",
    ):  # so that their files can be given on the command line
        assert all({"revision", "path"} <= encoder.keys() for encoder in spelled["encoders"].values())


def test_the_whole_configuration_can_be_seen(told, words):
    code, out, err = told(*words, "anchors=param", "anchors.epochs=7", "--cfg", "job")
    assert (code, err) == (0, "") and "${" not in out
    shown = yaml.safe_load(out)
    assert shown["anchors"]["batch"] == 1024 and shown["anchors"]["epochs"] == 7
    assert shown["task"]["name"] == "precomputed_stitch"
    _, out, _ = told("--cfg", "job", "task=precomputed_stitch")
    assert yaml.safe_load(out)["zoo"]["path"] == "???"


HELP = """
import sys
sys.argv = ["run.py", "--help"]
from relrep_exp.app.cli import main
code = main()
heavy = {"torch", "pytorch_lightning", "sklearn", "wandb", "numpy", "timm"} & sys.modules.keys()
sys.exit(code or f"imported {sorted(heavy)}" if heavy else code)
"""


def test_help_imports_nothing_heavy_and_names_every_choice(environment):
    command = [sys.executable, "-c", HELP]
    done = subprocess.run(command, env=environment, cwd=CONF.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for group, names in OPTIONS.items():
        if "/" not in group:
            assert f"{group}: {', '.join(sorted(names))}" in done.stdout
    assert "experiment=demo" in done.stdout and "--cfg job" in done.stdout


def test_a_sweep_is_all_combinations():
    words = ["anchors=random,param", "sim=glob(c*)", "seed=range(3)"]
    runs = make_plan(words, sweep=True)
    assert len({run.overrides for run in runs}) == len(runs) == 2 * 3 * 3
    assert {run.label for run in runs} >= {"param-cosine seed=2", "random-change_of_basis seed=0"}


def test_what_is_set_by_hand_replaces_an_experiments_axis():
    runs = make_plan(["experiment=demo", "seed=7,8", "anchors.m=9"], sweep=False)
    assert {(run.config.seed, run.config.anchors.m) for run in runs} == {(7, 9), (8, 9)}
    assert len(runs) == 5 * 2


@pytest.mark.parametrize(
    "line",
    [
        "",
        "seed=3 task=digits_stitch anchors=kmeans anchors.m=7 seed=4",
        "anchors=param anchors.batch=64 parallel=sib200 task=marc_stitch",
        "zoo=vision ~zoo.encoders.vit_b zoo.encoders.vit_s.path=/x/y +zoo.encoders.own.model=m",
        "task=rescaling plugins=[a.py,b.py] ++paths.outputs='with space' runtime.threads=null",
        "experiment=table1 profile=local experiment.axes.seed=[0] ~experiment.methods.absolute seed=5",
        "experiment=fig3 +experiment.axes.sim=[wip] task=digits_stitch ~zoo.encoders.gru",
        "hydra/launcher=joblib task=geometry zoo.encoders.noisy.noise=1e-3 data.name=${sim.name}",
    ],
)
def test_words_make_what_hydra_makes_of_them(line):
    """Ours composes the files that many runs share once."""
    words = shlex.split(line)
    with Composer() as composer:
        first = composer.compose(words)
        assert first == composer.compose(words) == compose("config", words)  # what is shared is not changed
        run = compose(
            "config", [word for word in words if not word.startswith(("experiment.", "~experiment"))]
        )
        run = OmegaConf.masked_copy(run, [key for key in run if key != "experiment"])
        assert composer.compose(words, experiment=False) == run


def test_the_runs_of_an_experiment_are_those_that_hydra_composes():
    for run in make_plan(
        ["experiment=table1", "profile=local", "seed=0", "decoder.dropout=0.1"], sweep=False
    ):
        with Composer():
            assert load(compose("config", list(run.overrides))) == run.config
