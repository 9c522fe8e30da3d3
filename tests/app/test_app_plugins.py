"""A file with a similarity and an anchor strategy is enough to have them everywhere."""

import importlib
import sys

import pytest
from hydra.core.config_store import ConfigStore

from relrep_exp.alignment.anchors import ANCHORS
from relrep_exp.alignment.similarity import SIMILARITIES, inner_product
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import load_plugins
from relrep_exp.config import plugin_files, plugins
from relrep_exp.store.keys import file_digest

PLUGIN = """
import torch
from relrep_exp.alignment.anchors import AnchorSet, anchor_strategy, one_hot
from relrep_exp.alignment.similarity import similarity

@similarity("mine", prepare="whitened")
def mine(x, anchors):
    return torch.tanh(SCALE * (x @ anchors.T))

@anchor_strategy("yours")
def yours(spaces, ids, m, seed):
    return AnchorSet(ids, one_hot(torch.arange(m), len(ids)))
"""
REGISTRIES = (ANCHORS, SIMILARITIES, plugins.SOURCES)


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_plugin.py"
    path.write_text(PLUGIN.replace("SCALE", "2.0"))
    return path


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(plugins, "_LOADED", set())
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for group, name in (("sim", "mine.yaml"), ("anchors", "yours.yaml")):
        ConfigStore.instance().repo.get(group, {}).pop(name, None)
    for registry, content in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(content)


def test_a_plugin_is_a_choice_like_any_other(any_run, plugin):
    outcome = any_run(f"plugins=[{plugin}]", "sim=mine", "anchors=yours", "anchors.m=4")
    assert outcome.fresh and outcome.record.method == "yours-mine"
    assert {row.method for row in outcome.record.rows} == {"yours-mine"}
    assert outcome.record.config["method"]["anchors"] == {"name": "yours", "m": 4}
    assert outcome.record.config["method"]["plugins"].keys() == {"anchors", "sim"}
    learned = any_run(f"plugins=[{plugin}]", "sim=mine", "anchors=param", "anchors.epochs=2")
    assert learned.record.curves["a+b"]["symnce"]


def test_the_text_of_a_plugin_counts_where_it_is_used(words, plugin, monkeypatch):
    def key(*more):
        monkeypatch.setattr(plugins, "_LOADED", set())
        plugins.SOURCES.clear()
        ANCHORS.pop("yours", None)
        SIMILARITIES.pop("mine", None)
        return make_plan([*words, f"plugins=[{plugin}]", *more], sweep=False)[0].key

    before = key("sim=mine"), key("anchors=yours"), key("sim=cosine")
    assert len(set(before)) == 3
    assert key("sim=mine") == before[0]
    plugin.write_text(plugin.read_text().replace("2.0", "3.0"))
    after = key("sim=mine"), key("anchors=yours"), key("sim=cosine")
    assert before[0] != after[0] and before[1] != after[1]
    assert before[2] == after[2]


def test_a_sweep_over_built_in_and_own(told, small, plugin, outputs):
    words = [*small, "decoder=linear", "anchors=yours"]
    code, out, err = told("-m", *words, f"plugins=[{plugin}]", "sim=mine,cosine")
    assert code == 0, err
    assert len(list((outputs / "records").glob("*.json"))) == 2
    table = out[out.index("precomputed_stitch: ") :]
    assert all(name in table for name in ("yours-mine", "yours-cosine"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "sim=mine: there is no such choice"),  # without its plugin
        ("def broken(:", "broken.py fails: SyntaxError"),
        ("raise RuntimeError('ouch')", "broken.py fails: RuntimeError: ouch"),
        ("import no_such_module", "broken.py fails: ModuleNotFoundError"),
        ("x = 1", "broken.py registers nothing new"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        (
            "from relrep_exp import similarity\n@similarity('cosine')\ndef mine(x, anchors):\n    return x",
            "'cosine' exists already",
        ),
    ],
)
def test_a_broken_plugin_is_told_and_replaces_nothing(told, words, tmp_path, outputs, text, reason):
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    code, _, err = told(*words, *(["sim=mine"] if text is None else [f"plugins=[{path}]"]))
    assert code == 2 and reason in err and "Traceback" not in err
    assert not outputs.exists()
    assert SIMILARITIES["cosine"].compare is inner_product


def test_all_broken_plugins_are_told_at_once(told, words, tmp_path):
    (tmp_path / "one.py").write_text("1 / 0")
    code, _, err = told(*words, f"plugins=[{tmp_path}/one.py,{tmp_path}/two.py]")
    assert code == 2 and err.count("error: ") == 2


HELPED = """
from relrep_exp.alignment.similarity import similarity
from my_own_helper import scaled
from my_own_package import parts

@similarity("mine", prepare="whitened")
def mine(x, anchors):
    import my_late_helper
    return my_late_helper.same(scaled(x) @ anchors.T)
"""
HELPERS = {
    "my_own_helper.py": "import torch, my_deep_helper\ndef scaled(x): return x * my_deep_helper.FACTOR\n",
    "my_deep_helper.py": "FACTOR = 2.0\n",
    "my_own_package/__init__.py": "",
    "my_own_package/parts.py": "from . import pieces\n",
    "my_own_package/pieces.py": "PIECES = 1\n",
    "my_late_helper.py": "def same(x): return x\n",
    "not_imported.py": "X = 1\n",
}


@pytest.fixture
def helped(tmp_path, monkeypatch):
    """A plugin with modules of the user's own beside it, and a function that digests it anew."""
    (tmp_path / "my_own_package").mkdir()
    for name, text in HELPERS.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "helped_plugin.py"
    path.write_text(HELPED)
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        for name in [name for name in sys.modules if name.startswith(("my_own", "my_deep", "my_late"))]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def digest():
        forget()
        monkeypatch.setattr(plugins, "_LOADED", set())
        plugins.SOURCES.clear()
        SIMILARITIES.pop("mine", None)
        load_plugins([str(path)])
        return plugins.SOURCES["sim", "mine"]

    yield digest
    forget()


@pytest.mark.parametrize("name", HELPERS)
def test_the_users_own_modules_that_a_plugin_imports_count(helped, tmp_path, name):
    before = helped()
    assert helped() == before
    with (tmp_path / name).open("a") as stream:
        stream.write("# changed\n")
    assert (helped() != before) == (name != "not_imported.py")


def test_installed_modules_and_pythons_own_do_not_count(tmp_path):
    path = tmp_path / "plain.py"
    path.write_text(
        "import json, torch, numpy.linalg\nfrom relrep_exp.store import keys\nimport nothing_like_it\n"
    )
    assert plugin_files.plugin_digest(path) == file_digest(path)


def test_a_plugin_that_imports_in_a_circle_or_cannot_be_read_by_the_parser(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_circle_a.py").write_text("import my_circle_b\n")
    (tmp_path / "my_circle_b.py").write_text("def f(): import my_circle_a, my_broken\n")
    (tmp_path / "my_broken.py").write_text("def\n")
    before = plugin_files.plugin_digest(tmp_path / "my_circle_a.py")
    (tmp_path / "my_broken.py").write_text("def def\n")
    assert plugin_files.plugin_digest(tmp_path / "my_circle_a.py") != before
