"""A file with a similarity and an anchor strategy is enough to have them everywhere."""

import pytest
from hydra.core.config_store import ConfigStore

from relrep_exp.alignment.anchors import ANCHORS
from relrep_exp.alignment.similarity import SIMILARITIES
from relrep_exp.app.cli import main
from relrep_exp.app.plan import make_plan
from relrep_exp.app.request import Request
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


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_plugin.py"
    path.write_text(PLUGIN.replace("SCALE", "2.0"))
    return path


REGISTRIES = (ANCHORS, SIMILARITIES, plugins.SOURCES)


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


def test_a_plugin_is_a_choice_like_any_other(run, plugin, outputs):
    outcome = run(f"plugins=[{plugin}]", "sim=mine", "anchors=yours", "anchors.m=4")
    assert outcome.fresh
    assert outcome.record.method == "yours-mine"
    assert {row.method for row in outcome.record.rows} == {"yours-mine"}
    assert outcome.record.config["method"]["anchors"] == {"name": "yours", "m": 4}
    assert outcome.record.config["method"]["plugins"].keys() == {"anchors", "sim"}
    assert run(f"plugins=[{plugin}]", "sim=mine", "anchors=random").record.method == "random-mine"
    learned = run(f"plugins=[{plugin}]", "sim=mine", "anchors=param", "anchors.epochs=2")
    assert learned.record.curves["a+b"]["symnce"]


def test_a_name_is_unknown_without_its_plugin(words, capsys):
    assert main([*words, "sim=mine"]) == 2
    assert "sim=mine: there is no such choice" in capsys.readouterr().err


def test_the_text_of_a_plugin_counts_where_it_is_used(words, plugin, monkeypatch):
    def key(*more):
        monkeypatch.setattr(plugins, "_LOADED", set())
        plugins.SOURCES.clear()
        ANCHORS.pop("yours", None)
        SIMILARITIES.pop("mine", None)
        return Request(make_plan([*words, f"plugins=[{plugin}]", *more], sweep=False)[0].config).key

    before = key("sim=mine"), key("anchors=yours"), key("sim=cosine")
    assert len(set(before)) == 3
    assert key("sim=mine") == before[0]
    plugin.write_text(plugin.read_text().replace("2.0", "3.0"))
    after = key("sim=mine"), key("anchors=yours"), key("sim=cosine")
    assert before[0] != after[0] and before[1] != after[1]
    assert before[2] == after[2]


def test_a_sweep_over_built_in_and_own(capsys, words, plugin, outputs):
    assert main(["-m", *words, f"plugins=[{plugin}]", "sim=mine,cosine", "anchors=yours,random"]) == 0
    out = capsys.readouterr().out
    assert len(list((outputs / "records").glob("*.json"))) == 4
    table = out[out.index("precomputed_stitch: ") :]
    assert all(name in table for name in ("yours-mine", "random-mine", "yours-cosine"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def broken(:", "broken.py fails: SyntaxError"),
        ("raise RuntimeError('ouch')", "broken.py fails: RuntimeError: ouch"),
        ("import no_such_module", "broken.py fails: ModuleNotFoundError"),
        ("x = 1", "broken.py registers nothing new"),
    ],
)
def test_a_broken_plugin_is_told(words, tmp_path, outputs, capsys, text, told):
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert main([*words, f"plugins=[{path}]", "anchors=random"]) == 2
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err
    assert not outputs.exists()


def test_all_broken_plugins_are_told_at_once(words, tmp_path, capsys):
    (tmp_path / "one.py").write_text("1 / 0")
    assert main([*words, f"plugins=[{tmp_path}/one.py,{tmp_path}/two.py]"]) == 2
    assert capsys.readouterr().err.count("error: ") == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("@similarity('cosine')\ndef mine(x, anchors):\n    return x", "'cosine' exists already"),
        ("import sys\nsys.exit(0)", "SystemExit"),
    ],
)
def test_a_plugin_neither_replaces_what_is_there_nor_ends_the_run(tmp_path, text, told):
    from relrep_exp.alignment.similarity import SIMILARITIES, inner_product
    from relrep_exp.app.request import load_plugins
    from relrep_exp.errors import UserError

    path = tmp_path / "odd_plugin.py"
    path.write_text(f"from relrep_exp import similarity\n{text}\n")
    with pytest.raises(UserError, match=told):
        load_plugins([str(path)])
    assert SIMILARITIES["cosine"].compare is inner_product
