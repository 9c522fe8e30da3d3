"""Checkpoints of texts' encoders: what is in a folder or the hub's cache, and what is wrong with it."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import tiny_text
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_text import FAMILIES, TEXTS, encode, source

from relrep_exp.encoders import text
from relrep_exp.errors import UserError
from relrep_exp.schema import RuntimeConfig, TransformersEncoderConfig, TransformersZoo
from relrep_exp.store.keys import content_key

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with a checkpoint of each family."""
    transformers.utils.logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("checkpoints")
    for family in FAMILIES:
        tiny_text.save(family, root / family)
    return root


@pytest.fixture
def copy(checkpoints, tmp_path):
    """A function that copies a family's checkpoint into a folder that a test may spoil."""
    return lambda family: shutil.copytree(checkpoints / family, tmp_path / family)


def told(act):
    """What the user is told; every problem names the encoder's key and has a remedy that does."""
    with pytest.raises(UserError) as caught:
        act()
    assert all("zoo.encoders.mine" in problem.what for problem in caught.value.problems)
    assert all(problem.remedy for problem in caught.value.problems)
    return str(caught.value)


def told_loading(folder, **settings):
    return told(lambda: source(folder, **settings).load())


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
        "from relrep_exp.schema import *;"
        f"config = TransformersEncoderConfig(model='a/b', path={str(checkpoints / 'bert')!r});"
        "zoo = TransformersZoo(kind='transformers', name='z', encoders={'mine': config});"
        "assert text.sources(zoo, RuntimeConfig())['mine'].identity()['files'];"
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
    return text.sources(zoo, RuntimeConfig(offline=True))["mine"]


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
    }
    assert torch.equal(encode(cached.load(), TEXTS), encode(source(checkpoints / family).load(), TEXTS))


def test_not_in_the_hubs_cache_and_offline(hub):
    assert "owner/tiny" in told(lambda: from_hub().identity())
    assert "owner/tiny" in told(lambda: from_hub().load())


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def config_with(**changes):
    return lambda folder: tiny_text.edit(folder, "config.json", **changes)


def rewritten(change):
    """Weights changed by a function of name -> tensor."""

    def spoil(folder):
        weights = change(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def sentencepiece_only(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02")


def own_tokenizer(folder):
    code = {"AutoTokenizer": ["tokenization_mine.Mine", None]}
    tiny_text.edit(folder, "tokenizer_config.json", tokenizer_class="Mine", auto_map=code)


def larger_tokenizer(folder):
    other = transformers.BertTokenizer(vocab={f"w{i}": i for i in range(300)} | {"[UNK]": 300, "[PAD]": 301})
    other.save_pretrained(folder)


FAULTS = {
    "no config": ("bert", without("config.json"), ["has no config.json", "mine.path"]),
    "no weights": ("bert", without("model.safetensors"), ["has no weights", "mine.path"]),
    "no tokenizer": ("bert", without("tokenizer.json"), ["has no tokenizer", "mine.path"]),
    "no tokenizer of GPT-2": ("gpt2", without("tokenizer.json"), ["has no tokenizer"]),
    "nothing": (
        "bert",
        without("config.json", "model.safetensors", "tokenizer.json"),
        ["has no config.json", "has no weights", "has no tokenizer"],
    ),
    "an adapter": ("gpt2", lambda f: (f / "adapter_config.json").write_text("{}"), ["an adapter", "merge"]),
    "a config that is no JSON": ("bert", lambda f: (f / "config.json").write_text("{"), ["cannot be loaded"]),
    "a config that names no architecture": ("bert", config_with(model_type=None), ["model_type"]),
    "an unknown architecture": (
        "bert",
        config_with(model_type="mystery"),
        ["does not know the architecture 'mystery'", "newer transformers", "mine.path"],
    ),
    "code of its own": (
        "bert",
        config_with(model_type="mystery", auto_map={"AutoConfig": "mine.C", "AutoModel": "mine.M"}),
        ["code of its own", "never run"],
    ),
    "a tokenizer with code of its own": ("bert", own_tokenizer, ["tokenizer", "code of its own"]),
    "an encoder with a decoder": (
        "bert",
        config_with(model_type="t5", is_encoder_decoder=True),
        ["an encoder with a decoder"],
    ),
    "more layers than weights": (
        "bert",
        config_with(num_hidden_layers=5),
        ["32 weights are missing", "encoder.layer.3.attention.output.LayerNorm.bias", "..."],
    ),
    "a weight left out": (
        "llama",
        rewritten(lambda w: {k: v for k, v in w.items() if k != "model.norm.weight"}),
        ["1 weights are missing: norm.weight"],
    ),
    "weights of another width": (
        "bert",
        config_with(intermediate_size=50),
        ["have other shapes", "(48,), not (50,)"],
    ),
    "truncated weights": ("bert", lambda f: os.truncate(f / "model.safetensors", 900), ["cannot be loaded"]),
    "a damaged tokenizer": ("bert", lambda f: (f / "tokenizer.json").write_text("{"), ["the tokenizer"]),
    "a cased tokenizer without its settings": (
        "bert",
        without("tokenizer_config.json"),
        ["lowers texts", "do_lower_case", "mine.path"],
    ),
    "another JSON": ("llama", lambda f: (f / "tokenizer.json").write_text('{"a": 1}'), ["the tokenizer"]),
    "sentencepiece alone": ("llama", sentencepiece_only, ["no tokenizer.json", "sentencepiece", "mine.path"]),
    "another model's tokenizer": ("bert", larger_tokenizer, ["the tokenizer has 30", "the model 200"]),
    "quantised weights": (
        "bert",
        config_with(quantization_config={"quant_method": "gptq", "bits": 4}),
        ["cannot be loaded"],
    ),
}


@pytest.mark.parametrize(("family", "spoil", "words"), FAULTS.values(), ids=FAULTS)
def test_a_folder_that_cannot_be_used(copy, capfd, loud, family, spoil, words):
    folder = copy(family)
    spoil(folder)
    capfd.readouterr()
    said = told_loading(folder)
    for word in words:
        assert word in said
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_not_there(tmp_path):
    said = told_loading(tmp_path / "nowhere")
    assert "there is no folder" in said
    assert "zoo.encoders.mine.path" in said


def test_all_folders_are_complained_of_at_once(checkpoints, tmp_path):
    (tmp_path / "empty").mkdir()
    paths = {"a": tmp_path / "none", "b": tmp_path / "empty", "c": checkpoints / "bert"}
    encoders = {n: TransformersEncoderConfig(model="o/m", path=str(path)) for n, path in paths.items()}
    zoo = TransformersZoo(kind="transformers", name="z", encoders=encoders)
    with pytest.raises(UserError) as caught:
        text.sources(zoo, RuntimeConfig())
    assert [problem.what.split(":")[0] for problem in caught.value.problems] == ["zoo.encoders.a"] + [
        "zoo.encoders.b"
    ] * 3


class Code:
    """What a hostile pickle holds."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_pickled_weights_is_refused_and_not_run(copy, tmp_path, zipped):
    folder, trace = copy("bert"), tmp_path / "was_run"
    (folder / "model.safetensors").unlink()
    weights = {"embeddings.word_embeddings.weight": Code(trace)}
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert "pickled weights" in told_loading(folder)
    assert not trace.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert trace.exists()  # it would have


def test_code_beside_a_known_architecture_is_not_run(copy, tmp_path):
    folder, trace = copy("bert"), tmp_path / "was_run"
    (folder / "mine.py").write_text(f"import os; os.mkdir({str(trace)!r})")
    tiny_text.edit(folder, "config.json", auto_map={"AutoConfig": "mine.C", "AutoModel": "mine.M"})
    assert type(source(folder).load().model) is transformers.BertModel
    assert not trace.exists()


def test_safetensors_are_taken_where_there_are_any(copy):
    folder = copy("bert")
    expected = encode(source(folder).load(), TEXTS)
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert torch.equal(encode(source(folder).load(), TEXTS), expected)


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
    expected = encode(source(folder).load(), TEXTS)
    weights = old_names(load_file(folder / "model.safetensors"))
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    assert torch.equal(encode(source(folder).load(), TEXTS), expected)
    assert capfd.readouterr() == ("", "")


def test_weights_in_shards(copy):
    folder = copy("gpt2")
    expected, key = encode(source(folder).load(), TEXTS), source(folder).identity()
    model = transformers.GPT2LMHeadModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(encode(source(folder).load(), TEXTS), expected)
    assert source(folder).identity() != key
    shards[1].unlink()
    assert "cannot be loaded" in told_loading(folder)


def test_a_model_without_pooler_is_complete_and_draws_from_no_generator(copy):
    folder = copy("bert")
    expected = encode(source(folder).load(), TEXTS)
    rewritten(lambda weights: {k: v for k, v in weights.items() if "pooler" not in k})(folder)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(encode(source(folder).load(), TEXTS), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def loud(monkeypatch):
    """transformers as it is in a terminal: bars and warnings, and not where an earlier test had stderr."""
    noise = transformers.utils.logging
    monkeypatch.setattr(noise.logging.getLogger("transformers").handlers[0], "stream", sys.stderr)
    noise.enable_progress_bar()
    yield
    noise.disable_progress_bar()


@pytest.mark.parametrize("family", FAMILIES)
def test_loading_and_encoding_print_nothing(checkpoints, capfd, loud, family):
    encode(source(checkpoints / family).load(), TEXTS)
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
        source(checkpoints / "bert").load()
        assert noise.get_verbosity() == noise.INFO
        assert noise.is_progress_bar_enabled()
    finally:
        noise.set_verbosity_warning()
        noise.disable_progress_bar()


def test_half_a_config_is_told_as_such(copy):
    folder = copy("bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": "wide"}))
    assert "zoo.encoders.mine" in told_loading(folder)
