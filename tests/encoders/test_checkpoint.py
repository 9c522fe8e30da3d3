"""A checkpoint's folder: all that loading reads is in the key, nothing else is read, nothing waited for."""

import json
import os
import random
import shutil
import sys

import pytest
import tiny_text
import tiny_vision
import torch
from fuzz_files import checkpoint
from making import HOW, encode, told
from safetensors.torch import load_file, save_file
from tiny_text import edit, source, told_loading

from relrep_exp.errors import UserError


@pytest.fixture
def indexed(copy):
    """A folder whose index names weights by names of its own, one of them in a folder below."""
    folder = copy("gpt2")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "deep").mkdir()
    names = sorted(weights)
    files = {"a.safetensors": names[::2], "deep/b.safetensors": names[1::2]}
    for file, held in files.items():
        save_file({name: weights[name] for name in held}, folder / file, metadata={"format": "pt"})
    where = {name: file for file, held in files.items() for name in held}
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_weights_that_an_index_names_are_in_the_key_whatever_they_are_called(indexed, encoder_of):
    before = source(indexed).identity()
    assert torch.equal(encode(source(indexed).load(HOW), ["a text"]), encode(encoder_of("gpt2"), ["a text"]))
    assert {"a.safetensors", "deep/b.safetensors", "model.safetensors.index.json"} <= before["files"].keys()
    path = indexed / "deep" / "b.safetensors"
    weights = load_file(path)
    weights[max(weights)] += 1.0
    save_file(weights, path, metadata={"format": "pt"})
    assert source(indexed).identity() != before


def opened(folder, load):
    """Which files below a folder Python opens."""
    seen = set()

    def audit(event, args):
        if event == "open" and isinstance(args[0], str):
            real = os.path.realpath(args[0])
            if real.startswith(f"{folder}/"):
                seen.add(os.path.relpath(real, folder))

    sys.addaudithook(lambda event, args: audit(event, args) if active else None)
    active = [True]
    load()
    active.clear()
    return seen


@pytest.mark.parametrize("family", tiny_text.FAMILIES)
def test_nothing_is_opened_that_is_not_in_the_key(copy, family):
    folder = copy(family)
    for name in ("notes.txt.bak", "other.safetensors", "pytorch_model.bin", "training_args.bin"):
        (folder / name).write_bytes(b"not to be read")
    asked = source(folder)
    known = set(asked.identity()["files"])
    assert opened(folder, lambda: asked.load(HOW)) <= known


OUTSIDE = {
    "a link": lambda f, other: ((f / "tokenizer.json").unlink(), (f / "tokenizer.json").symlink_to(other)),
    "above": lambda f, other: _named(f, "../other"),
    "absolute": lambda f, other: _named(f, str(other)),
}


def _named(folder, name):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], name)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize("how", OUTSIDE)
def test_what_lies_outside_the_folder_is_refused(indexed, how):
    other = indexed.parent / "other"
    shutil.copy(indexed / "tokenizer.json", other)
    OUTSIDE[how](indexed, other)
    said = told_loading(indexed)
    assert "leads out of the folder" in said and "copy that file into the folder" in said


def test_links_within_the_folder_and_into_the_blobs_of_the_hubs_cache_are_taken(copy, tmp_path, encoder_of):
    folder = copy("bert")
    (folder / "tokenizer.json").rename(folder / "its.json")
    (folder / "tokenizer.json").symlink_to("its.json")
    snapshot, blobs = tmp_path / "models--x" / "snapshots" / "abc", tmp_path / "models--x" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in folder.iterdir():
        shutil.copy(path, blobs / f"blob-{path.name}")
        (snapshot / path.name).symlink_to(f"../../blobs/blob-{path.name}")
    for where in (folder, snapshot):
        assert torch.equal(encode(source(where).load(HOW), ["a"]), encode(encoder_of("bert"), ["a"]))


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("bert", "num_hidden_layers", 10**9),
        ("bert", "num_labels", 10**9),
        ("bert", "vocab_size", 10**12),
        ("bert", "max_position_embeddings", 10**12),
        ("gpt2", "n_layer", 10**9),
        ("llama", "head_dim", 10**8),
        ("bert", "model_type", ["bert"]),
    ],
)
def test_a_model_far_larger_than_its_weights_is_not_built(copy, family, name, value):
    folder = copy(family)
    edit(folder, "config.json", **{name: value})
    assert "zoo.encoders.mine" in told_loading(folder)


@pytest.mark.parametrize("changes", [{"depth": 10**9}, {"img_size": 10**5}, {"num_classes": 10**10}])
def test_an_image_encoder_far_larger_than_its_weights_is_not_built(folders, tmp_path, changes):
    folder = shutil.copytree(folders[tiny_vision.VIT], tmp_path / "vit")
    said = json.loads((folder / "config.json").read_text())
    said["model_args"] = {**said.get("model_args", {}), **changes}
    (folder / "config.json").write_text(json.dumps(said))
    assert "cannot be loaded" in str(told(lambda: tiny_vision.source(folder).load(HOW))[0])


def test_hostile_folders_load_or_are_told(checkpoints, folders, tmp_path):
    made = {**{name: (checkpoints / name, source) for name in ("bert", "gpt2")}}
    made["vit"] = (folders[tiny_vision.VIT], tiny_vision.source)
    refused = 0
    for seed in range(30):
        rng = random.Random(seed)
        good, of = made[rng.choice(sorted(made))]
        inner = tmp_path / str(seed)
        inner.mkdir()
        path = checkpoint(good, inner, rng)
        try:
            asked = of(path)
            asked.identity()
            asked.load(HOW)
        except UserError as error:
            refused += 1
            assert all(problem.what and problem.remedy for problem in error.problems)
    assert refused > 15


def test_deeply_nested_json(copy):
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        folder = copy("bert")
        (folder / name).write_text("[" * 100_000)
        assert "zoo.encoders.mine" in told_loading(folder)
        shutil.rmtree(folder)
