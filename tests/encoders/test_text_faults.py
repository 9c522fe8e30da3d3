"""Checkpoints of texts' encoders that cannot be used, and code that is never run."""

import json
import os

import pytest
import tiny_text
import torch
import transformers
from making import HOW, sources, told
from tiny_text import rewritten, source, told_loading

from relrep_exp.config.schema import TransformersEncoderConfig, TransformersZoo


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def config_with(**changes):
    return lambda folder: tiny_text.edit(folder, "config.json", **changes)


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
    problems = told(lambda: sources(TransformersZoo("transformers", "z", encoders)))
    assert [problem.what.split(":")[0][-1] for problem in problems] == ["a", "b", "b", "b"]


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
    assert type(source(folder).load(HOW).model) is transformers.BertModel
    assert not trace.exists()


def test_half_a_config_is_told_as_such(copy):
    folder = copy("bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": "wide"}))
    assert "zoo.encoders.mine" in told_loading(folder)
