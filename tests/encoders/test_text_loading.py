"""Checkpoints of texts' encoders: what is read from a folder or the hub's cache, and how quietly."""

import subprocess
import sys

import pytest
import tiny_text
import torch
import transformers
from making import HOW, asked
from safetensors.torch import load_file
from tiny_text import FAMILIES, TEXTS, encode, rewritten, source, told, told_loading

from relrep_exp.config.schema import TransformersEncoderConfig, TransformersZoo
from relrep_exp.encoders import text
from relrep_exp.store.keys import content_key

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("layer", [4, -5, 99])
def test_a_layer_that_is_not_there(checkpoints, layer):
    said = told_loading(checkpoints / "gpt2", layer=layer)
    assert f"zoo.encoders.mine.layer={layer}" in said
    assert "3 layers" in said
    assert "-1 to -4" in said


def test_identity_holds_what_determines_embeddings(copy):
    folder = copy("bert")
    plain = content_key(source(folder).identity())
    others = [source(folder, **change) for change in ({"pooling": "mean"}, {"layer": 1}, {"max_length": 9})]
    keys = {content_key(one.identity()) for one in others}
    assert len(keys) == 3
    assert plain not in keys
    assert content_key(source(folder, language="de").identity()) == plain
    moved = folder.rename(folder.with_name("elsewhere"))
    assert content_key(source(moved).identity()) == plain


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_identity_changes_with_the_files_that_are_read(copy, file):
    folder = copy("bert")
    before = source(folder).identity()
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    assert source(folder).identity() != before


def test_identity_ignores_files_that_are_not_read(copy):
    folder = copy("bert")
    before = source(folder).identity()
    (folder / "README.md").write_text("a card")
    torch.save({}, folder / "pytorch_model.bin")
    assert source(folder).identity() == before


def test_identity_imports_nothing_heavy(checkpoints, python_snippet):
    python_snippet(
        "import sys; from relrep_exp.encoders import text;"
        "from relrep_exp.config.schema import *;"
        f"config = TransformersEncoderConfig(model='a/b', path={str(checkpoints / 'bert')!r});"
        "zoo = TransformersZoo(kind='transformers', name='z', encoders={'mine': config});"
        "from types import SimpleNamespace;"
        "config = SimpleNamespace(runtime=RuntimeConfig());"
        "assert text.sources(zoo, None, config)['mine'].identity()['files'];"
        "heavy = {'torch', 'transformers', 'tokenizers'} & set(sys.modules); assert not heavy, heavy"
    )


@pytest.fixture
def python_snippet(environment):
    """A function that runs a line of Python in a process of its own."""

    def run(line):
        done = subprocess.run([sys.executable, "-c", line], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def hub(checkpoints, tmp_path, monkeypatch):
    """A local cache of the hub that holds the checkpoint of a family as owner/tiny."""
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return lambda family: tiny_text.publish(checkpoints / family, cache, "owner/tiny", COMMIT)


def from_hub(**settings):
    config = TransformersEncoderConfig(model="owner/tiny", **settings)
    zoo = TransformersZoo(kind="transformers", name="tiny", encoders={"mine": config})
    return text.sources(zoo, None, asked())["mine"]


@pytest.mark.parametrize("revision", [None, COMMIT])
@pytest.mark.parametrize("family", FAMILIES)
def test_from_the_hubs_cache_as_from_a_folder(checkpoints, hub, family, revision):
    hub(family)
    cached = from_hub(revision=revision)
    assert cached.identity() == {
        "model": "owner/tiny",
        "commit": COMMIT,
        "pooling": "cls",
        "layer": -1,
        "max_length": 512,
        "dtype": "float32",
        "version": 1,
    }
    assert torch.equal(encode(cached.load(HOW), TEXTS), encode(source(checkpoints / family).load(HOW), TEXTS))


def test_not_in_the_hubs_cache_and_offline(hub):
    assert "owner/tiny" in told(lambda: from_hub().identity())
    assert "owner/tiny" in told(lambda: from_hub().load(HOW))


def test_safetensors_are_taken_where_there_are_any(copy):
    folder = copy("bert")
    expected = encode(source(folder).load(HOW), TEXTS)
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), expected)


def old_names(weights):
    """As checkpoints of 2019 name BERT's weights."""
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for now, then in ends.items():
        weights = {
            f"bert.{k}".replace("bert.bert.", "bert.").replace(now, then): v for k, v in weights.items()
        }
    return {**weights, "cls.predictions.bias": torch.zeros(200)}


def test_old_pickles_with_old_names_and_a_head(copy, capfd):
    folder = copy("bert")
    expected = encode(source(folder).load(HOW), TEXTS)
    weights = old_names(load_file(folder / "model.safetensors"))
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), expected)
    assert capfd.readouterr() == ("", "")


def test_weights_in_shards(copy):
    folder = copy("gpt2")
    expected, key = encode(source(folder).load(HOW), TEXTS), source(folder).identity()
    model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), expected)
    assert source(folder).identity() != key
    shards[1].unlink()
    assert "cannot be loaded" in told_loading(folder)


def test_a_model_without_pooler_is_complete_and_draws_from_no_generator(copy):
    folder = copy("bert")
    expected = encode(source(folder).load(HOW), TEXTS)
    rewritten(lambda weights: {k: v for k, v in weights.items() if "pooler" not in k})(folder)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_loading_and_encoding_print_nothing(checkpoints, capfd, loud, family):
    encode(source(checkpoints / family).load(HOW), TEXTS)
    assert capfd.readouterr() == ("", "")


def test_transformers_alone_would_print(checkpoints, capfd, loud):
    transformers.AutoModel.from_pretrained(checkpoints / "llama")
    said = capfd.readouterr().err
    assert "Loading weights" in said
    assert "UNEXPECTED" in said


def test_loading_leaves_transformers_as_verbose_as_it_was(checkpoints):
    noise = transformers.utils.logging
    noise.set_verbosity_info()
    noise.enable_progress_bar()
    try:
        source(checkpoints / "bert").load(HOW)
        assert noise.get_verbosity() == noise.INFO
        assert noise.is_progress_bar_enabled()
    finally:
        noise.set_verbosity_warning()
        noise.disable_progress_bar()
