"""A file with a similarity and an anchor strategy is enough to have them everywhere."""

import pytest
from hydra.core.config_store import ConfigStore

from relrep_exp.alignment.anchors import ANCHORS
from relrep_exp.alignment.similarity import SIMILARITIES, inner_product
from relrep_exp.app.plan import make_plan
from relrep_exp.config import plugins

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
