"""Checkpoints of texts' encoders: what is read from a folder or the hub's cache, and how quietly."""

import pytest
import tiny_text
import torch
import transformers
from making import HOW, encode, publish, sources, told
from safetensors.torch import load_file
from tiny_text import TEXTS, rewritten, source, told_loading

from relrep_exp.config.schema import TransformersEncoderConfig, TransformersZoo
from relrep_exp.store.keys import content_key

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("layer", [4, -5, 99])
def test_a_layer_that_is_not_there(checkpoints, layer):
    said = told_loading(checkpoints / "gpt2", layer=layer)
    assert f"zoo.encoders.mine.layer={layer}" in said and "3 layers" in said and "-1 to -4" in said


def test_identity_holds_what_determines_embeddings(copy):
    folder = copy("bert")
    plain = source(folder).identity()
    others = [source(folder, **change) for change in ({"pooling": "mean"}, {"layer": 1}, {"max_length": 9})]
    assert len({content_key(one) for one in [plain, *(other.identity() for other in others)]}) == 4
    assert source(folder, language="de").identity() == plain
    (folder / "README.md").write_text("a card")
    torch.save({}, folder / "pytorch_model.bin")  # not read, as there are safetensors
    assert source(folder.rename(folder.with_name("elsewhere"))).identity() == plain


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_identity_changes_with_the_files_that_are_read(copy, file):
    folder = copy("bert")
    before = source(folder).identity()
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    assert source(folder).identity() != before


@pytest.fixture
def hub(checkpoints, tmp_path, monkeypatch):
    """A local cache of the hub that holds the checkpoint of a family as owner/tiny."""
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return lambda family: publish(checkpoints / family, cache, "owner/tiny", COMMIT)


def from_hub(**settings):
    config = TransformersEncoderConfig(model="owner/tiny", **settings)
    return sources(TransformersZoo("transformers", "tiny", {"mine": config}))["mine"]


@pytest.mark.parametrize(("family", "revision"), [("bert", None), ("gemma3", COMMIT)])
def test_from_the_hubs_cache_as_from_a_folder(encoder_of, hub, family, revision):
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
    assert torch.equal(encode(cached.load(HOW), TEXTS), encode(encoder_of(family), TEXTS))


def test_not_in_the_hubs_cache_and_offline(hub):
    for act in (from_hub().identity, lambda: from_hub().load(HOW)):
        [problem] = told(act)
        assert "zoo.encoders.mine" in problem.what and "owner/tiny" in problem.what


def test_safetensors_are_taken_where_there_are_any(copy, encoder_of):
    folder = copy("bert")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), encode(encoder_of("bert"), TEXTS))


def old_names(weights):
    """As checkpoints of 2019 name BERT's weights."""
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for now, then in ends.items():
        weights = {
            f"bert.{k}".replace("bert.bert.", "bert.").replace(now, then): v for k, v in weights.items()
        }
    return {**weights, "cls.predictions.bias": torch.zeros(200)}


def test_old_pickles_with_old_names_and_a_head(copy, encoder_of, capfd):
    folder = copy("bert")
    weights = old_names(load_file(folder / "model.safetensors"))
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), encode(encoder_of("bert"), TEXTS))
    assert capfd.readouterr() == ("", "")


def test_weights_in_shards(copy, encoder_of):
    folder = copy("gpt2")
    key = source(folder).identity()
    model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), encode(encoder_of("gpt2"), TEXTS))
    assert source(folder).identity() != key
    shards[1].unlink()
    assert "names 1 files that are not there: model-00002" in told_loading(folder)


def test_a_model_without_pooler_is_complete_and_draws_from_no_generator(copy, encoder_of):
    folder = copy("bert")
    rewritten(lambda weights: {k: v for k, v in weights.items() if "pooler" not in k})(folder)
    before = torch.get_rng_state()
    assert torch.equal(encode(source(folder).load(HOW), TEXTS), encode(encoder_of("bert"), TEXTS))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", tiny_text.FAMILIES)
def test_loading_and_encoding_print_nothing(checkpoints, capfd, loud, family):
    encode(source(checkpoints / family).load(HOW), TEXTS)
    assert capfd.readouterr() == ("", "")


def test_transformers_alone_would_print(checkpoints, capfd, loud):
    transformers.AutoModel.from_pretrained(checkpoints / "llama")
    said = capfd.readouterr().err
    assert "Loading weights" in said and "UNEXPECTED" in said


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
